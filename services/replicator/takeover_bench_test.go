package replicator_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"

	"laneway.dev/internal/membership"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/internal/service"
	"laneway.dev/internal/snapshots"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator"
	"laneway.dev/services/replicator/core"
)

// BenchmarkTakeOver starts a replicator on a log of a million entries of 100,000
// producers, over a real server: from the log alone, and from a snapshot.
func BenchmarkTakeOver(b *testing.B) {
	const entries, producers = 1_000_000, 100_000
	conn, js := unsynced(b)
	ctx := b.Context()
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		b.Fatal(err)
	}
	topic, err := registry.Create(ctx, protocol.TopicConfig{Name: "orders"})
	if err != nil {
		b.Fatal(err)
	}
	fillLog(b, conn, topic, entries, producers)
	// The first one reads the log and saves a snapshot.
	first := time.Now()
	var fromLog time.Duration
	takeOver(b, conn, func(s core.Stats) bool {
		if s.Terms > 0 && fromLog == 0 {
			fromLog = time.Since(first)
		}
		return s.Snapshots > 0 && saved(b, conn, js, topic.Partition(0))
	})
	for b.Loop() {
		stats := takeOver(b, conn, func(s core.Stats) bool { return s.Terms > 0 })
		if stats.Producers != producers || stats.Replayed > 100 {
			b.Fatalf("%d producers, %d entries were read", stats.Producers, stats.Replayed)
		}
	}
	b.ReportMetric(fromLog.Seconds(), "s/from-log")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/from-snapshot")
}

// saved says whether a snapshot of the partition is stored.
func saved(b *testing.B, conn *nats.Conn, js jetstream.JetStream, p protocol.Partition) (is bool) {
	b.Helper()
	store, err := snapshots.Open(b.Context(), conn, js)
	if err == nil {
		err = store.Load(b.Context(), p, func([]byte) bool { is = true; return true })
	}
	if err != nil {
		b.Fatal(err)
	}
	return is
}

// takeOver starts a replicator, waits for it to come so far, and stops it.
func takeOver(b *testing.B, conn *nats.Conn, far func(core.Stats) bool) core.Stats {
	b.Helper()
	tel, err := telemetry.Setup(b.Context(), "replicator", "bench")
	if err != nil {
		b.Fatal(err)
	}
	s, err := replicator.Start(b.Context(), replicator.Config{
		Config: service.Config{Conn: conn, Logger: zap.NewNop(), Telemetry: tel}, Membership: membership.Config{Instance: nuid.Next(), TTL: 2 * time.Second},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for range poll.C {
		if stats := s.Stats(); far(stats) {
			return stats
		}
	}
	return core.Stats{}
}

// unsynced starts a server that need not survive a crash, to be filled fast.
func unsynced(b *testing.B) (*nats.Conn, jetstream.JetStream) {
	b.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: b.TempDir(), MaxPayload: 8 << 20,
	})
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	b.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		b.Fatal("the server is not ready")
	}
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		b.Fatal(err)
	}
	return conn, js
}

// fillLog writes entries of one batch each.
func fillLog(b *testing.B, conn *nats.Conn, topic protocol.Topic, entries, producers int) {
	b.Helper()
	now := time.Now()
	entry := func(i int) messages.Entry {
		id, round := int64(i%producers)+1, i/producers
		return messages.Entry{
			TopicID: topic.ID, Epoch: 1, SequencerEpoch: 1, BaseOffset: int64(i), Time: now.Add(time.Duration(i)).UnixNano(),
			Batches: []messages.Placeholder{{
				Batch:  messages.Batch{Ticket: messages.Ticket{Lane: fmt.Sprint("i:", id), Number: uint64(i) + 1}, Floor: uint64(i) + 1, Records: 1, Sequence: messages.Sequence{ProducerID: id, First: int32(round)}},
				Extent: messages.Extent{Key: "object", Length: 10},
			}},
		}
	}
	logtest.Of(b, conn, topic.Partition(0)).AppendAll(1, func(yield func(messages.Entry) bool) { // after the entry of the creation
		for i := range entries {
			if !yield(entry(i)) {
				return
			}
		}
	})
}
