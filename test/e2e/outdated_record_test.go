package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

func TestOldTopicRecordReusesNoOffset(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	before := f.record(ctx, t)
	f.takesRecords(ctx, t)
	f.loseLog(ctx, t, f.partition)
	f.repair(ctx, t, "orders", "--store", f.Store, "--accept-loss")
	last := f.takesRecords(ctx, t)

	f.damage(ctx, t, func() {})
	js, err := jetstream.New(f.conn)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(ctx, "LANEWAY_TOPICS")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(ctx, "orders", before); err != nil {
		t.Fatal(err)
	}
	f.damage(ctx, t, func() {})
	f.awaitPage(ctx, t, deployment.Replicator, "readyz", "the topic's record in bucket LANEWAY_TOPICS is older than its log")
	f.awaitPage(ctx, t, deployment.Frontend, "readyz", "older than its log")
	f.expectDamaged(ctx, t)
	if report := f.repair(ctx, t, "orders"); !strings.Contains(report, "the topic's record is older than its log") || strings.Contains(report, "interrupted") {
		t.Errorf("the report:\n%s", report)
	}
	if report := f.repair(ctx, t, "orders", "--accept-loss"); !strings.Contains(report, "nothing is given up") {
		t.Errorf("the report:\n%s", report)
	}
	ack := f.takesRecords(ctx, t)
	if ack.Offset <= last.Offset || ack.Offset > last.Offset+5000 {
		t.Errorf("offset %d is given out, %d was acknowledged", ack.Offset, last.Offset)
	}
	f.AwaitReady(ctx)
	code, output, err := deployment.ExitCode(f.Laneway(ctx, "topic", "repair", "orders", "--accept-loss"))
	if err != nil || code == 0 || !strings.Contains(output, "nothing is missing") {
		t.Errorf("a loss is found: code %d, %v\n%s", code, err, output)
	}
}

// record returns the value of the topic's record.
func (f *fixture) record(ctx context.Context, t *testing.T) []byte {
	t.Helper()
	js, err := jetstream.New(f.conn)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(ctx, "LANEWAY_TOPICS")
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(ctx, f.partition.Topic)
	if err != nil {
		t.Fatal(err)
	}
	var topic protocol.Topic
	if err := json.Unmarshal(entry.Value(), &topic); err != nil || topic.Name != f.partition.Topic {
		t.Fatal(fmt.Errorf("the record is %q: %w", entry.Value(), err))
	}
	return entry.Value()
}
