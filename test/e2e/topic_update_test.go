package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

func TestTopicIsUpdated(t *testing.T) {
	t.Parallel() // it measures no time and no memory
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 3*time.Minute)
		f, js := startBound(ctx, t, kind, deployment.Options{})
		f.moveSubjects(ctx, t, js)
		f.bindFirstSubjects(ctx, t)
		f.changeRecordSize(ctx, t)
		f.changeCompression(ctx, t)
		f.changeProducerLimits(ctx, t)
		f.refuseUpdates(ctx, t)

		before := f.topicInfo(ctx, t, "own")
		f.forget(ctx)
		if after := f.topicInfo(ctx, t, "own"); !after.Equal(before.TopicConfig) || after.Revision != before.Revision || before.Revision == 0 {
			t.Errorf("after a restart the topic is %+v, before it was %+v", after, before)
		}
	})
}

// update runs laneway topic update, and returns what it prints.
func (f *fixture) update(ctx context.Context, topic string, flags ...string) string {
	return f.Output(f.Laneway(ctx, append([]string{"topic", "update", topic}, flags...)...), nil)
}

// topicInfo returns what laneway topic info shows of a topic.
func (f *fixture) topicInfo(ctx context.Context, t *testing.T, topic string) protocol.Topic {
	t.Helper()
	var info protocol.TopicResponse
	if err := json.Unmarshal([]byte(f.Output(f.Laneway(ctx, "topic", "info", topic, "--json"), nil)), &info); err != nil {
		t.Fatal(err)
	}
	return *info.Topic
}

func (f *fixture) changeRecordSize(ctx context.Context, t *testing.T) {
	t.Helper()
	large := strings.Repeat("x", 1000)
	for _, c := range []struct {
		flag string
		want protocol.Code
	}{{"500", protocol.CodeMessageTooLarge}, {"1KiB", protocol.CodeOK}, {"999", protocol.CodeMessageTooLarge}, {"2MiB", protocol.CodeOK}} {
		f.update(ctx, "own", "--max-record-bytes", c.flag)
		code := protocol.CodeOK
		if ack := f.request(ctx, t, record(large)); ack.Error != nil {
			code = ack.Error.Code
		}
		if code != c.want {
			t.Errorf("with records of up to %s, 1000 bytes get %s", c.flag, code.Kind().Name)
		}
	}
	if said, want := f.update(ctx, "own", "--max-record-bytes", "2MiB"), "topic own is unchanged: it has these values already\n"; said != want {
		t.Errorf("an update that changes nothing says\n%s", said)
	}
}

func (f *fixture) changeCompression(ctx context.Context, t *testing.T) {
	t.Helper()
	topic := f.CreateTopic(f.conn, "text")
	var lines []string
	for i := range 3000 {
		lines = append(lines, fmt.Sprintf("\tif err := step%d(ctx, %d); err != nil { return fmt.Errorf(%q, err) }", i%7, i*i, "step: %w"))
	}
	sizes := map[string]int64{}
	sent := 0
	for _, codec := range []string{"none", "zstd", "none again"} {
		if codec != "none" {
			f.update(ctx, "text", "--compression", strings.TrimSuffix(codec, " again"))
		}
		before := f.stored(t)
		for _, line := range lines {
			if err := f.conn.Publish(topic.Partition(0).ProduceSubject(), []byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		sent += len(lines)
		err := deployment.Eventually(ctx, func(ctx context.Context) error {
			_, partitions, err := client.New(f.conn).Admin().TopicInfo(ctx, "text")
			if err == nil && partitions[0].EndOffset != int64(sent) {
				err = fmt.Errorf("%d records are there", partitions[0].EndOffset)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		sizes[codec] = f.stored(t) - before
	}
	if sizes["zstd"] > sizes["none"]/2 || sizes["none again"] < sizes["none"]/2 {
		t.Errorf("bytes stored: %v", sizes)
	}
	// Messages without a reply subject have no order.
	got := f.consumed(ctx, t, "text")[""]
	want := slices.Sorted(slices.Values(slices.Repeat(lines, len(sizes))))
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%d records are there, and not the %d that were sent", len(got), len(want))
	}
}

// idempotent is a record of a producer that has sent nothing before, which may be sent again.
func idempotent(id int, subject string) *nats.Msg {
	return &nats.Msg{Subject: subject, Data: []byte("x"), Header: nats.Header{
		protocol.HeaderProducerID: {strconv.Itoa(id)}, protocol.HeaderProducerEpoch: {"0"}, protocol.HeaderSequence: {"0"},
	}}
}

// changeProducerLimits shows that replicators follow, soon after the update.
func (f *fixture) changeProducerLimits(ctx context.Context, t *testing.T) {
	t.Helper()
	subject := f.CreateTopic(f.conn, "few").Partition(0).ProduceSubject()
	if ack := f.request(ctx, t, idempotent(1, subject)); ack.Error != nil {
		t.Fatal(ack.Error)
	}
	await := func(id int, want protocol.Code) {
		t.Helper()
		err := deployment.Eventually(ctx, func(ctx context.Context) error {
			code := protocol.CodeOK
			if ack := f.request(ctx, t, idempotent(id, subject)); ack.Error != nil {
				code = ack.Error.Code
			}
			if code != want {
				return fmt.Errorf("producer %d gets %s, want %s", id, code.Kind().Name, want.Kind().Name)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	f.update(ctx, "few", "--max-producers", "1", "--producer-expiry", "10m")
	// Producers that arrive before the replicator has followed are remembered: each attempt is
	// that of another one.
	next := 1
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		next++
		if ack := f.request(ctx, t, idempotent(next, subject)); ack.Error == nil || ack.Error.Code != protocol.CodeTooManyProducers {
			return fmt.Errorf("producer %d gets %+v", next, ack)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	await(1, protocol.CodeOK) // it is remembered
	f.update(ctx, "few", "--max-producers", "1000")
	await(next, protocol.CodeOK)
	out := f.Output(f.Laneway(ctx, "topic", "info", "few"), nil)
	if !strings.Contains(out, "remembers up to 1,000 producers, each until it was idle for 10m") {
		t.Errorf("topic info says\n%s", out)
	}
}

func (f *fixture) refuseUpdates(ctx context.Context, t *testing.T) {
	t.Helper()
	before := f.topicInfo(ctx, t, "own")
	for arguments, want := range map[string]struct {
		code int
		says string
	}{
		"nothing --max-producers 3":                     {1, "UNKNOWN_TOPIC"},
		"own --subjects 'returns.new'":                  {1, "SUBJECT_OVERLAP: a subject overlaps with one that is in use: returns.new overlaps with returns.* of topic orders"},
		"own --subjects '$JS.API'":                      {1, "SUBJECT_OVERLAP"},
		"own --partitions 2":                            {2, "--partitions cannot be changed"},
		"own --producer-expiry 1m":                      {2, "10m to 8760h"},
		"own --max-record-bytes 5MiB":                   {2, "1 to 4.0 MiB"},
		"own --compression gzip":                        {2, "none, s2, zstd"},
		"own":                                           {2, "at least one of the options"},
		"own --max-record-bytes 1KiB --subjects 'a..b'": {1, "INVALID_SUBJECT"},
	} {
		code, output, err := deployment.ExitCode(f.Shell(ctx, "laneway topic update "+arguments))
		if err != nil {
			t.Fatal(err)
		}
		if code != want.code || !strings.Contains(output, want.says) {
			t.Errorf("topic update %s ends with %d and says\n%s", arguments, code, output)
		}
	}
	if after := f.topicInfo(ctx, t, "own"); !after.Equal(before.TopicConfig) || after.Revision != before.Revision {
		t.Errorf("refused updates have changed the topic from %+v to %+v", before, after)
	}
}
