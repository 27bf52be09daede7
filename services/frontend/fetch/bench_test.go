package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/history/historytest"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// BenchmarkColdConsume reads a partition from its first record to its end, with
// nothing in memory, as a client does that takes frames by credit.
func BenchmarkColdConsume(b *testing.B) {
	for _, c := range []struct {
		name                    string
		batches, perEntry, size int
		frames                  bool
	}{
		{"frames of 256 KiB", 360, 12, 256 << 10, true},
		{"100000 batches of one record, 100 an entry", 100000, 100, 100, true},
		{"100000 batches of one record, 10 an entry", 100000, 10, 100, true},
		{"100000 single records", 100000, 100, 100, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			f := newFixture(b, nil)
			f.commitMany(c.batches, c.perEntry, c.size)
			b.SetBytes(int64(c.batches) * int64(c.size))
			for b.Loop() {
				f.server.entries.cache.InvalidateAll()
				f.consume(c.frames, int64(c.batches))
			}
		})
	}
}

// BenchmarkRemoteConsume reads a partition from a store in which each request takes 100 ms, by
// the number of objects that hold a MiB of the partition.
func BenchmarkRemoteConsume(b *testing.B) {
	for _, perObject := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("%d batches of 64 KiB in each object", perObject), func(b *testing.B) {
			f := newFixture(b, func(c *Config) { c.Store = slowStore{c.Store} })
			const batches = 1024
			f.commitMany(batches, perObject, 64<<10)
			b.SetBytes(batches << 16)
			for b.Loop() {
				f.server.entries.cache.InvalidateAll()
				f.consume(true, batches)
			}
		})
	}
}

// BenchmarkHistory reads a partition from its first record to its end with nothing in memory: once
// from mixed objects, and once from segments. Each request to the store takes as long as the name
// says.
func BenchmarkHistory(b *testing.B) {
	const segment = 64 << 20
	for _, c := range []struct {
		name                    string
		batches, perEntry, size int
		remote                  bool
	}{
		{"frames of 256 KiB, local", 720, 12, 256 << 10, false},
		{"frames of 256 KiB, 100 ms", 720, 12, 256 << 10, true},
		{"frames of 256 KiB, an object each, 100 ms", 720, 1, 256 << 10, true},
		{"frames of 16 KiB, an object each, local", 4000, 1, 16 << 10, false},
		{"frames of 16 KiB, an object each, 100 ms", 4000, 1, 16 << 10, true},
		{"frames of 4 KiB, local", 20_000, 100, 4 << 10, false},
		{"frames of 4 KiB, 100 ms", 20_000, 100, 4 << 10, true},
		{"frames of 100 B, local", 100_000, 100, 100, false},
		{"frames of 100 B, 100 ms", 100_000, 100, 100, true},
	} {
		for _, archived := range []bool{false, true} {
			from := map[bool]string{false: "objects", true: "segments"}[archived]
			b.Run(c.name+"/"+from, func(b *testing.B) {
				f := newFixture(b, func(config *Config) {
					if c.remote {
						config.Store = slowStore{config.Store}
					}
				})
				f.commitMany(c.batches, c.perEntry, c.size)
				if archived {
					f.archiveMany(c.size, segment)
				}
				b.SetBytes(int64(c.batches) * int64(c.size))
				for b.Loop() {
					f.server.entries.cache.InvalidateAll()
					f.server.history = newHistoryReader(f.server.config, f.server.reader)
					f.consume(true, int64(c.batches))
				}
			})
		}
	}
}

// archiveMany archives what commitMany has committed, in segments of about so many bytes.
func (f *fixture) archiveMany(size, segment int) {
	f.Helper()
	w := historytest.New(f, f.store.Store, f.id)
	frame := protocol.EncodeRecord(protocol.Record{Value: bytes.Repeat([]byte{'x'}, size)})
	state, err := f.log.State(f.context())
	must(f, err)
	f.last = state.LastSequence
	var entries []messages.LoggedEntry
	bytes, history := 0, messages.History{}
	archive := func() {
		history = w.Archive(entries, func(messages.Extent) []byte { return frame })
		entries, bytes = nil, 0
	}
	must(f, f.log.Walk(f.context(), 1, state.LastSequence, func(e messages.LoggedEntry) error {
		entries = append(entries, e)
		if bytes += len(e.Entry.Batches) * size; bytes >= segment {
			archive()
		}
		return nil
	}, func(m partitionlog.Missing) error { return errors.New(m.Reason) }))
	if len(entries) > 0 {
		archive()
	}
	f.carry(history)
}

// slowStore is a store with the latency of a remote one.
type slowStore struct{ objectstore.Store }

func (s slowStore) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	timer := time.NewTimer(100 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return s.Store.ReadRange(ctx, key, offset, length)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// commitMany fills the log without waiting for each append.
func (f *fixture) commitMany(batches, perEntry, size int) {
	f.Helper()
	frame := protocol.EncodeRecord(protocol.Record{Value: bytes.Repeat([]byte{'x'}, size)})
	frames, records := slices.Repeat([][]byte{frame}, perEntry), slices.Repeat([]uint32{1}, perEntry)
	f.last = f.inJetStream().AppendAll(f.last, func(yield func(messages.Entry) bool) {
		for done := 0; done < batches; done += perEntry {
			if !yield(f.stage(frames, records)) {
				return
			}
		}
	})
}

// recordsOf returns the number of records in a message.
func recordsOf(m *nats.Msg) int64 {
	if n, err := strconv.ParseInt(m.Header.Get(protocol.HeaderRecords), 10, 64); err == nil {
		return n
	}
	return 1
}

// consume reads to the end and counts the records.
func (f *fixture) consume(frames bool, want int64) {
	f.Helper()
	done := make(chan string, 1)
	var got, processed, granted int64
	inbox := f.conn.NewRespInbox()
	const window = 8 << 20
	sub, err := f.conn.Subscribe(inbox, func(m *nats.Msg) {
		status := m.Header.Get(protocol.HeaderStatus)
		switch {
		case status == protocol.StatusHeartbeat:
			_ = f.conn.Publish(m.Reply, strconv.AppendInt(nil, processed, 10))
			return
		case status != "":
			done <- status
			return
		}
		got += recordsOf(m)
		if processed += int64(len(m.Data)); processed-granted > window/4 {
			_ = f.conn.Publish(m.Reply, strconv.AppendInt(nil, processed, 10))
			granted = processed
		}
	})
	must(f, err)
	must(f, sub.SetPendingLimits(-1, -1))
	defer func() { must(f, sub.Unsubscribe()) }()
	request := `{"from":"earliest","window_bytes":8388608}`
	if frames {
		request = `{"from":"earliest","window_bytes":8388608,"frames":true}`
	}
	must(f, f.conn.PublishRequest(f.id.FetchSubject(), inbox, []byte(request)))
	select {
	case status := <-done:
		if status != protocol.StatusEnd || got != want {
			f.Fatalf("%d records of %d, then status %s", got, want, status)
		}
	case <-time.After(patience):
		f.Fatal("it did not end")
	}
}
