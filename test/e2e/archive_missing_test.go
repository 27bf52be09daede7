package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// fillTail sends batches with the longest names until the log takes no more, because too much of
// it is not archived, and returns how many were acknowledged, and the refusal.
func (f *fixture) fillTail(ctx context.Context, t *testing.T) (acked int64, refusal protocol.ProduceAck) {
	t.Helper()
	const inFlight = 2000
	answers, err := f.conn.SubscribeSync(f.conn.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	if err := answers.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
	answer := func() {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if ack := ackOf(t, m.Data); ack.Error != nil {
			refusal = ack
			return
		}
		acked++
	}
	sent := 0
	for ; refusal.Error == nil; sent++ {
		id := fmt.Sprintf("%d %s", sent, strings.Repeat("x", 1000))
		m := &nats.Msg{Subject: f.partition.ProduceSubject(), Reply: answers.Subject, Data: []byte("x"), Header: nats.Header{protocol.HeaderMessageID: {id}}}
		if err := f.conn.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		if sent >= inFlight {
			answer()
		}
	}
	for range min(sent, inFlight) {
		answer()
	}
	return acked, refusal
}

// TestMissingArchiverBoundsTheLog lets no archiver run. The log grows to its bound and no further,
// and everything continues once there is an archiver.
func TestMissingArchiverBoundsTheLog(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.RoleProcesses, deployment.Options{Replicator: []string{"--archive-bytes", "1MiB", "--archive-age", "1s"}})
	f.Terminate(deployment.Archiver)
	began := time.Now()
	acked, refusal := f.fillTail(ctx, t)
	took(t, began, "%d batches", acked)
	if refusal.Error.Code != protocol.CodeOverloaded || !refusal.Error.Retryable() || !strings.Contains(refusal.Error.Detail, "not archived") {
		t.Errorf("the refusal is %v, want OVERLOADED with what is not archived", refusal.Error)
	}
	// What had a ticket was still appended.
	if unarchived := f.MustMetric(deployment.Replicator, "laneway_replicator_unarchived_bytes"); unarchived < 64<<20 || unarchived > 80<<20 {
		t.Errorf("%v bytes are not archived", unarchived)
	}
	if n := f.MustMetric(deployment.Replicator, "laneway_replicator_congested_partitions"); n != 1 {
		t.Errorf("%v partitions are congested", n)
	}
	f.awaitSilentArchiver(ctx, t)
	if got := f.archivedOffset(ctx, t); got != 0 {
		t.Errorf("topic info says that the offsets up to %d are archived, nothing is", got)
	}

	restarted := time.Now()
	f.Restart(deployment.Archiver)
	f.AwaitReady(ctx)
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		if ack := f.request(ctx, t, record("again")); ack.Error != nil {
			return ack.Error
		}
		return nil
	})
	if err != nil {
		t.Fatalf("with an archiver: %v", err)
	}
	took(t, restarted, "publishing works again")
	state := f.awaitArchived(ctx, t, f.partition)
	if state.NextOffset != acked+1 {
		t.Errorf("the log ends at %d, %d records were acknowledged", state.NextOffset, acked+1)
	}
	took(t, restarted, "all is archived")
	if got := f.archivedOffset(ctx, t); got != state.NextOffset {
		t.Errorf("topic info says that the offsets up to %d are archived, the log that those up to %d are", got, state.NextOffset)
	}
}

// awaitSilentArchiver returns when the frontend has named the missing archiver. It stays ready.
func (f *fixture) awaitSilentArchiver(ctx context.Context, t *testing.T) {
	t.Helper()
	err := deployment.Eventually(ctx, func(context.Context) error {
		if !strings.Contains(f.Log(deployment.Frontend), "no archiver has answered since") {
			return errors.New("the frontend has not logged that no archiver answers")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	silent, err := f.Sample(ctx, deployment.Frontend, "laneway_frontend_role_unanswered{", fmt.Sprintf("role=%q", deployment.Archiver))
	if err != nil || silent != 1 {
		t.Errorf("laneway_frontend_role_unanswered of archivers is %v, %v", silent, err)
	}
	if err := f.Ready(ctx, deployment.Frontend); err != nil {
		t.Errorf("the frontend is not ready: %v", err)
	}
}

// archivedOffset returns how far the partition is archived, as the command line shows it.
func (f *fixture) archivedOffset(ctx context.Context, t *testing.T) int64 {
	t.Helper()
	var info protocol.TopicResponse
	var out []byte
	// A frontend that has not read the journal for long may first answer that it cannot tell yet.
	err := deployment.Eventually(ctx, func(ctx context.Context) (err error) {
		out, err = f.Laneway(ctx, "topic", "info", f.partition.Topic, "--json").Output()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &info); err != nil || len(info.Partitions) != 1 {
		t.Fatalf("%v in %s", err, out)
	}
	return info.Partitions[0].ArchivedOffset
}
