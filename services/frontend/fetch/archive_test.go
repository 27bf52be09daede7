package fetch

import (
	"bytes"
	"context"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"laneway.dev/internal/core/layout"
	"laneway.dev/internal/history/historytest"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	core "laneway.dev/services/frontend/core/fetch"
)

// archive moves entries of the log into a segment. The log has the history with the next entry.
func (f *fixture) archive(w *historytest.Writer, some ...stored) messages.History {
	f.Helper()
	var entries []messages.LoggedEntry
	frames := make(map[messages.Extent][]byte)
	for _, s := range some {
		entries = append(entries, messages.LoggedEntry{Sequence: s.sequence, Entry: s.entry})
		for i := range s.payloads {
			frames[s.entry.Batches[i].Extent] = s.payloads[i]
		}
	}
	return w.Archive(entries, func(x messages.Extent) []byte { return frames[x] })
}

// carry appends an entry with a history, and purges what is archived. The frontend has nothing of
// it in memory.
func (f *fixture) carry(h messages.History, batches ...[]protocol.Record) stored {
	f.Helper()
	var frames [][]byte
	var records []uint32
	for _, b := range batches {
		var frame protocol.FrameBuilder
		for _, r := range b {
			frame.Append(r)
		}
		frames, records = append(frames, frame.Take()), append(records, uint32(len(b)))
	}
	f.history = h
	entry := f.stage(frames, records)
	s := stored{sequence: f.append(messages.EncodeEntry(entry)), entry: entry, payloads: frames}
	must(f, f.log.Purge(f.context(), h.End.Sequence+1))
	f.server.entries.clear()
	return s
}

// created is the first entry of the log.
func (f *fixture) created() stored {
	f.Helper()
	entries, _, err := f.log.Read(f.context(), 1, 1)
	must(f, err)
	return stored{sequence: 1, entry: entries[0].Entry}
}

// archivedFixture returns a fixture with two segments of "a" to "d", and "e" in the log.
func archivedFixture(t *testing.T, change func(*Config)) (f *fixture, history messages.History, times []time.Time) {
	t.Helper()
	f = newFixture(t, change)
	w := historytest.New(t, f.store.Store, f.id)
	commit := func(value string) stored {
		for last := time.Now(); !time.Now().After(last); { // times differ
		}
		s := f.commit(lines(value))
		times = append(times, s.entry.At())
		return s
	}
	first := f.archive(w, f.created(), commit("a"), commit("b"))
	times = append(times, f.carry(first, lines("c")).entry.At())
	third, _, err := f.log.Read(f.context(), f.last, 1)
	must(t, err)
	frames := [][]byte{}
	for _, b := range third[0].Entry.Batches {
		frame, err := objectstore.NewFrames(f.store.Store).Read(f.context(), b.Extent)
		must(t, err)
		frames = append(frames, frame)
	}
	history = f.archive(w, stored{third[0].Sequence, third[0].Entry, frames}, commit("d"))
	times = append(times, f.carry(history, lines("e")).entry.At())
	return f, history, times
}

func TestArchivedEntriesAreReadFromTheHistory(t *testing.T) {
	f, _, times := archivedFixture(t, nil)
	all := []string{"a", "b", "c", "d", "e"}
	f.fetch(fields{"from": "earliest"}).wants(protocol.StatusEnd, all...)
	for offset := range all {
		f.fetch(fields{"offset": offset}).wants(protocol.StatusEnd, all[offset:]...)
		f.fetch(fields{"time": times[offset].Format(time.RFC3339Nano)}).wants(protocol.StatusEnd, all[offset:]...)
	}
	f.fetch(fields{"offset": 1, "max_records": 2}).wants(protocol.StatusEnd, "b", "c")
}

func TestDamageOfHistoryIsReportedWithItsOffsets(t *testing.T) {
	f, h, _ := archivedFixture(t, nil)
	content, err := os.ReadFile(f.object(h.Manifest))
	must(t, err)
	key := string(content[bytes.LastIndex(content, []byte("s/")):][:len(h.Manifest)])
	must(t, os.Remove(f.object(key)))
	c := f.fetch(fields{"offset": 1})
	c.data()
	m := c.fails(protocol.CodeCorrupt)
	expectOffsets(t, m, 4, 5)
	expectGap(t, m, 2, 3)
	f.fetch(fields{"offset": 4}).wants(protocol.StatusEnd, "e")
}

// Otherwise the core would ask for one damaged entry after the other.
func TestDamageOfHistorySaysWhereItEnds(t *testing.T) {
	f, h, _ := archivedFixture(t, nil)
	must(t, os.Remove(f.object(h.Manifest)))
	_, err := f.server.history.Entries(f.context(), h, f.id, 1, 1)
	failed, ok := historyFailed(f.context(), err).(core.Failed)
	if want := (messages.Position{Sequence: h.End.Sequence + 1, Offset: h.End.Offset}); !ok || failed.Err.Code != protocol.CodeCorrupt || failed.Next != want {
		t.Errorf("%+v, want CORRUPT up to %+v", failed, want)
	}
}

// Damage would let a consumer skip records that a later version can read.
func TestHistoryOfLaterVersionIsNoDamage(t *testing.T) {
	f := newFixture(t, nil)
	failed, ok := historyFailed(f.context(), layout.CheckVersion(9, 1)).(core.Failed)
	if !ok || failed.Err.Code != protocol.CodeFailed {
		t.Errorf("%+v", failed)
	}
}

// awayStore fails reads of manifests for as long as it is away.
type awayStore struct {
	objectstore.Store
	away atomic.Bool
}

func (s *awayStore) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if s.away.Load() && objectstore.KeyKind(key) == objectstore.KindManifest {
		return nil, objectstore.ErrUnreachable
	}
	return s.Store.ReadRange(ctx, key, offset, length)
}

func TestFetchWaitsForTheStoreOfTheHistory(t *testing.T) {
	store := new(awayStore)
	f, _, _ := archivedFixture(t, func(c *Config) { store.Store, c.Store = c.Store, store })
	store.away.Store(true)
	c := f.fetch(fields{"from": "earliest", "follow": true, "window_bytes": 1000})
	f.until(func() bool {
		return f.server.reader.failing.count.Load() > 0 || f.server.reader.failing.logged.Load() != 0
	})
	store.away.Store(false)
	if got := valuesOf(t, c.data()); len(got) != 1 || got[0] != "a" {
		t.Errorf("got %q", got)
	}
}

func TestHistoryInMemoryIsNotReadAgain(t *testing.T) {
	store := new(awayStore)
	f, _, _ := archivedFixture(t, func(c *Config) { store.Store, c.Store = c.Store, store })
	f.fetch(fields{"from": "earliest"}).wants(protocol.StatusEnd, "a", "b", "c", "d", "e")
	store.away.Store(true)
	f.fetch(fields{"from": "earliest"}).wants(protocol.StatusEnd, "a", "b", "c", "d", "e")
}
