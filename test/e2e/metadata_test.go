package e2e

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/messages"
	"laneway.dev/test/deployment"
)

// streamFolder returns where JetStream keeps a stream of a deployment.
func (f *fixture) streamFolder(t *testing.T, stream string) string {
	t.Helper()
	var found string
	err := filepath.WalkDir(f.Data, func(path string, _ os.DirEntry, err error) error {
		if filepath.Base(path) == stream && filepath.Base(filepath.Dir(path)) == "streams" {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("stream %s is not below %s (%v)", stream, f.Data, err)
	}
	return found
}

// damage stops the process that keeps the data, damages it, and starts the process
// again. After a clean stop JetStream does not read its blocks again.
func (f *fixture) damage(ctx context.Context, t *testing.T, do func()) {
	t.Helper()
	role := f.Of(deployment.NATS)
	f.Terminate(role)
	do()
	f.Restart(role)
	if err := deployment.Eventually(ctx, func(ctx context.Context) error {
		_, err := client.New(f.conn).Admin().ListTopics(ctx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// page returns what a page of a process says.
func (f *fixture) page(ctx context.Context, role, name string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.Page(role, name), http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return string(content), err
}

// awaitPage returns when a page of the process of a service says all these words.
func (f *fixture) awaitPage(ctx context.Context, t *testing.T, service, name string, words ...string) {
	t.Helper()
	var last string
	err := deployment.Eventually(ctx, func(ctx context.Context) (err error) {
		if last, err = f.page(ctx, f.Of(service), name); err != nil {
			return err
		}
		for _, word := range words {
			if !strings.Contains(last, word) {
				return errors.New("it does not say " + word)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("/%s of %s: %v:\n%s", name, service, err, last)
	}
}

// TestDamagedTopicRecordIsReported damages the records of topics:
// JetStream then shows fewer of them, or waits forever for one.
func TestDamagedTopicRecordIsReported(t *testing.T) {
	t.Parallel() // it waits most of the time
	for name, at := range map[string]int{
		"length of the record": 2,
		"text of the record":   219,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, time.Minute)
			f := start(t, deployment.OneProcess, deployment.Options{})
			request := []byte("a record")
			if _, err := f.conn.RequestWithContext(ctx, f.partition.ProduceSubject(), request); err != nil {
				t.Fatal(err)
			}
			block := filepath.Join(f.streamFolder(t, "KV_LANEWAY_TOPICS"), "msgs", "1.blk")
			f.damage(ctx, t, func() {
				content, err := os.ReadFile(block)
				if err != nil {
					t.Fatal(err)
				}
				content[at] ^= 8
				if err := os.WriteFile(block, content, 0o600); err != nil {
					t.Fatal(err)
				}
			})
			f.awaitPage(ctx, t, deployment.Frontend, "readyz", messages.LogName(f.partition))
			for _, args := range [][]string{{"topic", "create", "orders"}, {"topic", "info", "orders"}, {"topic", "list"}} {
				code, output, err := deployment.ExitCode(f.Laneway(ctx, args...))
				if err != nil || !strings.Contains(output, messages.LogName(f.partition)) || (code == 0) != (args[1] == "list") {
					t.Errorf("%q: exit code %d (%v):\n%s", args, code, err, output)
				}
			}
			if lost := f.MustMetric(deployment.Frontend, "laneway_frontend_topics_lost"); lost == 0 {
				t.Error("the metric reports no lost topic")
			}
			if log := f.Log(deployment.Serve); !strings.Contains(log, "LOG_WITHOUT_TOPIC") {
				t.Error("nothing is logged")
			}
			if !logtest.Of(t, f.conn, f.partition).Exists() {
				t.Error("the log is gone")
			}
		})
	}
}

func TestStreamOnTopicSubjectsIsReported(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	f.Output(f.Laneway(ctx, "topic", "create", "shop", "--subjects", "shop.>"), nil)
	js, err := jetstream.New(f.conn)
	if err != nil {
		t.Fatal(err)
	}
	for topic, config := range map[string]jetstream.StreamConfig{
		"shop":   {Name: "THIEF", Subjects: []string{"shop.eu.>"}},
		"orders": {Name: "BROAD", Subjects: []string{"laneway.produce.orders.*"}},
	} {
		if _, err := js.CreateStream(ctx, config); err != nil {
			t.Fatal(err)
		}
		f.AwaitMetric(ctx, deployment.Frontend, "laneway_frontend_subject_overlaps", func(n float64) bool { return n == 1 })
		code, output, err := deployment.ExitCode(f.Laneway(ctx, "topic", "info", topic))
		if err != nil || code != 0 || !strings.Contains(output, config.Name) {
			t.Errorf("topic info %s: exit code %d (%v), it does not name stream %s:\n%s", topic, code, err, config.Name, output)
		}
		if !strings.Contains(f.Log(deployment.Serve), config.Name) {
			t.Errorf("nothing is logged about stream %s", config.Name)
		}
		if err := js.DeleteStream(ctx, config.Name); err != nil {
			t.Fatal(err)
		}
		f.AwaitMetric(ctx, deployment.Frontend, "laneway_frontend_subject_overlaps", func(n float64) bool { return n == 0 })
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "ALL", Subjects: []string{"laneway.>"}, NoAck: true}); err != nil {
		t.Fatal(err)
	}
	code, output, err := deployment.ExitCode(f.Laneway(ctx, "topic", "create", "late"))
	if err != nil || code != 1 || !strings.Contains(output, "ALL") {
		t.Errorf("topic create below a stream over laneway.>: exit code %d (%v):\n%s", code, err, output)
	}
}
