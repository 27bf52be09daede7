package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
)

// publishLines publishes records with an unmodified client of JetStream. Every tenth one has a
// header and a message id.
func publishLines(ctx context.Context, t *testing.T, conn *nats.Conn, p protocol.Partition, lines []string) {
	t.Helper()
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(4000))
	if err != nil {
		t.Fatal(err)
	}
	var futures []jetstream.PubAckFuture
	for i, line := range lines {
		m := &nats.Msg{Subject: p.ProduceSubject(), Data: []byte(line)}
		if i%10 == 0 {
			m.Header = nats.Header{"Line": {fmt.Sprint(i)}, "Nats-Msg-Id": {fmt.Sprint(p.Topic, i)}}
		}
		future, err := js.PublishMsgAsync(m, jetstream.WithStallWait(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		futures = append(futures, future)
	}
	for i, future := range futures {
		select {
		case ack := <-future.Ok():
			if ack.Sequence != uint64(i)+1 {
				t.Fatalf("record %d has sequence %d", i, ack.Sequence)
			}
		case err := <-future.Err():
			t.Fatalf("record %d: %v", i, err)
		case <-ctx.Done():
			t.Fatalf("record %d: no answer", i)
		}
	}
}

// wantLines consumes a topic, which must have exactly these records.
func wantLines(ctx context.Context, t *testing.T, conn *nats.Conn, topic string, lines []string) {
	t.Helper()
	at := 0
	for r, err := range client.New(conn).Consumer(client.ConsumerOptions{Topic: topic, MaxRecords: int64(len(lines))}).Records(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		header := r.Offset%10 == 0
		if string(r.Value) != lines[at] || (len(r.Headers) > 0) != header || header && r.Headers[0].Value != fmt.Sprint(at) {
			t.Fatalf("record %d is %q with %v, want %q", at, r.Value, r.Headers, lines[at])
		}
		at++
	}
	if at != len(lines) {
		t.Fatalf("%d records of %d", at, len(lines))
	}
}

func TestTopicsCompressSingleRecords(t *testing.T) {
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 2*time.Minute)
		f := start(t, kind, deployment.Options{Frontend: uploadsAll})
		var lines []string
		for i := range 5000 {
			lines = append(lines, fmt.Sprintf("\tif err := step%d(ctx, %d); err != nil { return fmt.Errorf(%q, err) }", i%7, i*i, "step: %w"))
		}
		sizes := map[string]int64{}
		for _, codec := range []string{"none", "s2", "zstd"} {
			if out, err := f.Laneway(ctx, "topic", "create", codec, "--compression", codec).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			out, err := f.Laneway(ctx, "topic", "info", codec, "--json").Output()
			var info protocol.TopicResponse
			if err == nil {
				err = json.Unmarshal(out, &info)
			}
			if err != nil || string(info.Topic.Compression) != codec {
				t.Fatalf("topic info says %s, %v", out, err)
			}
			before := f.stored(t)
			publishLines(ctx, t, f.conn, info.Topic.Partition(0), lines)
			sizes[codec] = f.stored(t) - before
			wantLines(ctx, t, f.conn, codec, lines)
		}
		if sizes["s2"] > sizes["none"]/3 || sizes["zstd"] > sizes["none"]/4 {
			t.Errorf("bytes stored: %v", sizes)
		}
		report := f.verifyStore(ctx, t, 0, []string{"nothing is damaged"}, "--nats", f.URL())
		if report.Store.Records != int64(3*len(lines)) || report.Logs.Waiting.Objects != 0 {
			t.Errorf("the report has %+v and %+v", report.Store, report.Logs)
		}
		f.damageABlock(ctx, t, lines)
	})
}

// damageABlock alters a byte of a block of a topic that was not read, so that no frontend has
// the block in its cache. Verification and consumers must name the offsets that cannot be read.
func (f *fixture) damageABlock(ctx context.Context, t *testing.T, lines []string) {
	t.Helper()
	topic, err := client.New(f.conn).Admin().CreateTopic(ctx, protocol.TopicConfig{Name: "damaged", Compression: protocol.CompressionZstd})
	if err != nil {
		t.Fatal(err)
	}
	publishLines(ctx, t, f.conn, topic.Partition(0), lines)
	entries, err := history.Entries(ctx, f.conn, topic.Partition(0))
	if err != nil {
		t.Fatal(err)
	}
	var key messages.Extent
	for _, e := range entries {
		for _, b := range e.Entry.Batches {
			if b.Extent.Compressed() { // not if it was alone in its object
				key = b.Extent
			}
		}
	}
	path := filepath.Join(f.Objects(), filepath.FromSlash(key.Key))
	content, err := os.ReadFile(path)
	if err == nil {
		content[key.Offset+key.Length/2] ^= 1
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	report := f.verifyStore(ctx, t, 1, []string{key.Key, "damaged/0, offsets"}, "--nats", f.URL())
	if len(report.Damaged) != 1 || report.Damaged[0].Damage != objectstore.Payload || len(report.Logs.Lost) != 1 || report.Logs.Lost[0].Topic != "damaged" {
		t.Fatalf("damaged are %+v, of the logs it says %+v", report.Damaged, report.Logs)
	}
	lost := report.Logs.Lost[0]
	skipped := int64(0)
	consumed := 0
	consumer := client.New(f.conn).Consumer(client.ConsumerOptions{
		Topic: "damaged", SkipCorrupt: true, OnGap: func(g client.Gap) { skipped += g.Last - g.First + 1 },
	})
	for r, err := range consumer.Records(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Offset >= lost.Offsets[0].From && r.Offset < *lost.Offsets[0].To {
			t.Fatalf("offset %d is delivered, and reported as lost", r.Offset)
		}
		consumed++
	}
	if skipped != lost.Records || consumed+int(skipped) != len(lines) {
		t.Errorf("%d records are consumed and %d skipped, %d are lost", consumed, skipped, lost.Records)
	}
}
