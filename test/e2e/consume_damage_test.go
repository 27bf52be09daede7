package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
)

func TestDamageAffectsOnePartitionAndCanBeSkipped(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{Frontend: uploadsAll})
	const partitions, each, damaged, at = 4, 10, 2, 4
	topic, err := client.New(f.conn).Admin().CreateTopic(ctx, protocol.TopicConfig{Name: "spread", Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for p := range int32(partitions) {
		id := topic.Partition(int(p))
		for n := range each {
			line := fmt.Sprintf("%d-%d", p, n)
			if ack := f.request(ctx, t, &nats.Msg{Subject: id.ProduceSubject(), Data: []byte(line)}); ack.Error != nil {
				t.Fatal(ack.Error)
			}
			if p != damaged || n != at {
				want = append(want, line)
			}
		}
	}
	entries, err := history.Entries(ctx, f.conn, topic.Partition(damaged))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Entry.BaseOffset == at && len(e.Entry.Batches) == 1 {
			flipLast(t, filepath.Join(f.Objects(), filepath.FromSlash(e.Entry.Batches[0].Extent.Key)), fmt.Appendf(nil, "%d-%d", damaged, at))
		}
	}
	f.forget(ctx)

	code, lines, failure := consume(t, f.Laneway(ctx, "consume", "spread"))
	whole := slices.DeleteFunc(slices.Clone(want), func(line string) bool {
		return strings.HasPrefix(line, fmt.Sprint(damaged)) && line > fmt.Sprintf("%d-%d", damaged, at)
	})
	if code != 1 || !slices.Equal(lines, whole) {
		t.Errorf("consume ends with %d (%s) after %q, want %q", code, failure, lines, whole)
	}
	if !strings.Contains(failure, "CORRUPT") || !strings.Contains(failure, fmt.Sprintf("the next one is at %d", at+1)) {
		t.Errorf("consume says %q", failure)
	}

	code, lines, said := consume(t, f.Laneway(ctx, "consume", "spread", "--skip-corrupt"))
	if code != 0 || !slices.Equal(lines, want) {
		t.Errorf("consume --skip-corrupt ends with %d (%s) after %q, want %q", code, said, lines, want)
	}
	if !strings.Contains(said, fmt.Sprintf("laneway: spread/%d: records cannot be read at offset %d; continuing at offset %d", damaged, at, at+1)) {
		t.Errorf("consume --skip-corrupt says %q", said)
	}
}

// consume runs a command and returns its exit code, its lines sorted, and what it says
// on standard error.
func consume(t *testing.T, command *exec.Cmd) (code int, lines []string, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	lines = strings.Fields(stdout.String())
	slices.Sort(lines)
	return command.ProcessState.ExitCode(), lines, stderr.String()
}

// flipLast flips a bit of the last place where an object has some bytes.
func flipLast(t *testing.T, path string, of []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[bytes.LastIndex(content, of)] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
