package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"laneway.dev/test/deployment"
)

// endless is input without end: the numbers from 0 on, a line each.
type endless struct {
	next int
	rest []byte
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		e.rest = fmt.Appendln(nil, e.next)
		e.next++
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// summary is what produce --json says at its end.
type summary struct {
	Lines   int64  `json:"lines"`
	Records int64  `json:"records"`
	Error   string `json:"error"`
}

func TestInterruptedProduceReportsCommittedLines(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		for _, how := range []string{"interrupted", "frontend killed"} {
			t.Run(how, func(t *testing.T) {
				ctx := within(t, 2*time.Minute)
				f := start(t, kind, deployment.Options{})
				var stderr bytes.Buffer
				command := f.Laneway(ctx, "produce", "orders", "--json", "--batch-bytes", "1000")
				in, err := command.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				out, err := command.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				command.Stderr = &stderr
				if err := command.Start(); err != nil {
					t.Fatal(err)
				}
				// It ends when the command has ended.
				go func() { _, _ = io.Copy(in, &endless{}) }()
				f.AwaitMetric(ctx, deployment.Replicator, "laneway_replicator_records_total", func(v float64) bool { return v > 10_000 })
				if how != "interrupted" {
					f.Kill(f.Of(deployment.Frontend))
				}
				if err := command.Process.Signal(syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				said := summaryOf(t, out)
				if err := command.Wait(); how != "interrupted" && err == nil {
					t.Error("it ends as if nothing had happened")
				}
				t.Logf("%+v, stderr: %s", said, stderr.String())
				if how != "interrupted" {
					f.Restart(f.Of(deployment.Frontend))
					f.AwaitReady(ctx)
				}
				f.expectNumbers(ctx, t, said.Records)
			})
		}
	})
}

func summaryOf(t *testing.T, out io.Reader) summary {
	t.Helper()
	content, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	var s summary
	if err := json.Unmarshal(content, &s); err != nil {
		t.Fatalf("%v in %q", err, content)
	}
	return s
}

// expectNumbers checks that the first lines of endless are in the topic.
func (f *fixture) expectNumbers(ctx context.Context, t *testing.T, sure int64) {
	t.Helper()
	lines := strings.Fields(f.Output(f.Laneway(ctx, "consume", "orders"), nil))
	if sure == 0 || int64(len(lines)) < sure {
		t.Errorf("%d lines are there, %d for sure", len(lines), sure)
	}
	for n, line := range lines {
		if line != fmt.Sprint(n) {
			t.Fatalf("line %d is %q", n, line)
		}
	}
}
