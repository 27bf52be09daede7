// Package e2e drives Laneway from outside: the binary that is shipped, in one
// process and in one for each role, under load, faults and kills.
package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
	"laneway.dev/test/load"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(echoVariable); url != "" {
		fmt.Fprintln(os.Stderr, echo(url))
		os.Exit(1)
	}
	if err := deployment.Build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// busy is how much longer than it should a test may take on a busy machine, which is
// no failure.
const busy = 4

// within returns a context that bounds a test.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	d *= busy
	ctx, cancel := context.WithTimeoutCause(t.Context(), d, fmt.Errorf("%s did not end within %s", t.Name(), d))
	t.Cleanup(cancel)
	return ctx
}

// fixture is a deployment with a topic and a user's connection.
type fixture struct {
	*deployment.Deployment
	conn      *nats.Conn
	partition protocol.Partition
}

func start(t *testing.T, kind deployment.Kind, options deployment.Options) *fixture {
	t.Helper()
	f := &fixture{Deployment: deployment.Start(t, kind, options)}
	f.conn = f.Connect()
	f.partition = f.CreateTopic(f.conn, "orders").Partition(0)
	return f
}

// uploadsAll are flags of a frontend with which small batches are uploaded, too.
var uploadsAll = []string{"--inline-bytes", "0"}

// stager returns options with flags of the process that stages. All batches are uploaded.
func stager(flags ...string) deployment.Options {
	return deployment.Options{Stager: flags, Frontend: uploadsAll}
}

// verify reads back what there is and compares it with what producers know:
// first from the memory of the frontend, as far as it reaches, then from what
// is stored.
func (f *fixture) verify(ctx context.Context, t *testing.T, sent map[string][]load.Batch) []history.Record {
	t.Helper()
	if _, err := history.Verify(ctx, f.conn, f.partition, sent); err != nil {
		t.Error(err)
	}
	f.forget(ctx)
	records, err := history.Verify(ctx, f.conn, f.partition, sent)
	if err != nil {
		t.Errorf("from the object store: %v", err)
	}
	return records
}

// forget restarts the process that serves consumers, so that it has nothing in memory.
func (f *fixture) forget(ctx context.Context) {
	role := f.Of(deployment.Frontend)
	f.Terminate(role)
	f.Restart(role)
	f.AwaitReady(ctx)
	f.AwaitConnected(ctx, f.conn)
}

// request sends a record and returns the answer.
func (f *fixture) request(ctx context.Context, t *testing.T, m *nats.Msg) protocol.ProduceAck {
	t.Helper()
	if m.Subject == "" {
		m.Subject = f.partition.ProduceSubject()
	}
	answer, err := f.conn.RequestMsgWithContext(ctx, m)
	if err != nil {
		t.Fatalf("produce: %v", err)
	}
	return ackOf(t, answer.Data)
}

// took says how long a part of a test has taken.
func took(t *testing.T, since time.Time, format string, arguments ...any) {
	t.Helper()
	t.Logf("%s: %s", fmt.Sprintf(format, arguments...), time.Since(since).Round(time.Millisecond))
}
