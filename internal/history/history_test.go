package history

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/history/historytest"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

var partition = protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "orders", Partitions: 1}, ID: 7}.Partition(0)

// tampered is a store whose reads a test counts and changes. It is safe for concurrent use.
type tampered struct {
	objectstore.Store

	mu     sync.Mutex
	reads  []string                                              // keys
	anew   int                                                   // reads that want a new connection
	before func(ctx context.Context, n int, key string) error    // is returned by the n-th read, unless it is nil
	after  func(n int, key string, offset int64, content []byte) // changes the content of the n-th read
}

func (s *tampered) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	s.mu.Lock()
	s.reads = append(s.reads, key)
	n, before, after := len(s.reads), s.before, s.after
	if objectstore.WantsNewConnection(ctx) {
		s.anew++
	}
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx, n, key); err != nil {
			return nil, err
		}
	}
	content, err := s.Store.ReadRange(ctx, key, offset, length)
	if err == nil && after != nil {
		after(n, key, offset, content)
	}
	return content, err
}

// count returns how many reads there were since it was last called.
func (s *tampered) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.reads)
	s.reads = nil
	return n
}

// memory is a store for many objects.
type memory struct {
	objectstore.Store
	objects map[string][]byte
}

func (m *memory) Put(_ context.Context, key string, parts [][]byte) error {
	m.objects[key] = bytes.Join(parts, nil)
	return nil
}

func (m *memory) ReadRange(_ context.Context, key string, offset, length int64) ([]byte, error) {
	content, ok := m.objects[key]
	if !ok {
		return nil, objectstore.ErrNotFound
	}
	return bytes.Clone(content[offset : offset+length]), nil
}

func (m *memory) Delete(_ context.Context, key string) error {
	delete(m.objects, key)
	return nil
}

// fixture is a Reader of a history in a folder.
type fixture struct {
	*testing.T
	folder  string // of the store
	store   *tampered
	writer  *historytest.Writer
	reader  *Reader
	history messages.History
	entries []messages.LoggedEntry // all that are archived
	frames  map[messages.Extent][]byte
	next    messages.LoggedEntry // the sequence, offset, gap and time of the next entry
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	folder := t.TempDir()
	local, err := objectstore.Open(folder, 0)
	must(t, err)
	f := newFixtureOf(t, local)
	f.folder = folder
	return f
}

func newFixtureOf(t *testing.T, store objectstore.Store) *fixture {
	t.Helper()
	f := &fixture{T: t, store: &tampered{Store: store}, frames: make(map[messages.Extent][]byte)}
	f.writer = historytest.New(t, store, partition)
	f.next = messages.LoggedEntry{Sequence: 1, Entry: messages.Entry{TopicID: partition.TopicID, Created: true, Time: 1000}}
	f.cold()
	return f
}

// cold replaces the reader by one that has nothing in its cache.
func (f *fixture) cold() { f.reader = New(Config{Store: f.store}) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// archive archives entries with batches of one record: one entry for each number of batches.
func (f *fixture) archive(batches ...int) {
	f.Helper()
	var entries []messages.LoggedEntry
	for _, n := range batches {
		e := f.next
		for range n {
			frame := protocol.EncodeRecord(protocol.Record{Value: fmt.Appendf(nil, "record %d", e.Entry.NextOffset())})
			x := messages.Extent{Key: "objects/1/x", Offset: e.Entry.NextOffset(), Length: int64(len(frame)), CRC: objectstore.Checksum(frame)}
			f.frames[x] = frame
			e.Entry.Batches = append(e.Entry.Batches, messages.Placeholder{Batch: messages.Batch{Records: 1}, Extent: x})
		}
		entries = append(entries, e)
		f.next = messages.LoggedEntry{Sequence: e.Sequence + 1, Entry: messages.Entry{
			TopicID: partition.TopicID, BaseOffset: e.Entry.NextOffset(), Time: e.Entry.Time + 10, RisingFrom: e.Entry.RisingFrom,
		}}
	}
	f.history = f.writer.Archive(entries, func(x messages.Extent) []byte { return f.frames[x] })
	f.entries = append(f.entries, entries...)
}

// gap leaves offsets out before the next entry.
func (f *fixture) gap(offsets int64) {
	f.next.Entry.Gap += offsets
	f.next.Entry.BaseOffset += offsets
}

// read returns the entries from a sequence up to the end of the history.
func (f *fixture) read(from uint64, limit int) []messages.LoggedEntry {
	f.Helper()
	var all []messages.LoggedEntry
	for from <= f.history.End.Sequence {
		entries, err := f.reader.Entries(f.Context(), f.history, partition, from, limit)
		must(f, err)
		if len(entries) == 0 || len(entries) > limit || entries[0].Sequence != from {
			f.Fatalf("%d entries from %d on", len(entries), from)
		}
		all = append(all, entries...)
		from = entries[len(entries)-1].Sequence + 1
	}
	return all
}

// describe returns entries in short: the sequence, the offsets, the time.
func describe(entries []messages.LoggedEntry) string {
	var all []string
	for _, e := range entries {
		all = append(all, fmt.Sprintf("%d: %d-%d+%d at %d", e.Sequence, e.Entry.BaseOffset-e.Entry.Gap, e.Entry.BaseOffset, e.Entry.Records(), e.Entry.Time))
	}
	return strings.Join(all, "\n")
}

func (f *fixture) wantAll(got []messages.LoggedEntry, from uint64) {
	f.Helper()
	if got, want := describe(got), describe(f.entries[from-f.entries[0].Sequence:]); got != want {
		f.Errorf("from %d on:\n%s\nwant\n%s", from, got, want)
	}
}

// repeat returns n times the same number.
func repeat(n, batches int) []int { return slices.Repeat([]int{batches}, n) }

func TestEntriesAreReadAsTheyWereArchived(t *testing.T) {
	f := newFixture(t)
	f.archive(0, 1, 3, 0)
	f.gap(5)
	f.archive(2, 0, 1)
	f.archive(repeat(2000, 2)...) // many pages
	for limit, begins := range map[int][]uint64{1: {1990, 2007}, 7: {1}, 10_000: {1, 2, 4, 5, 6, 7, 8, 900, 2000}} {
		for _, from := range begins {
			f.wantAll(f.read(from, limit), from)
		}
	}
	if len(f.writer.Manifest.Segments) != 3 {
		t.Errorf("%d segments", len(f.writer.Manifest.Segments))
	}
}

func TestFramesAreAtTheExtentsOfTheEntries(t *testing.T) {
	for _, codec := range []protocol.Compression{"", protocol.CompressionS2} {
		f := newFixture(t)
		f.writer.Codec = codec
		f.archive(repeat(300, 3)...)
		frames := objectstore.NewFrames(f.store)
		for i, e := range f.read(1, 256) {
			for j, b := range e.Entry.Batches {
				got, err := frames.Read(t.Context(), b.Extent)
				must(t, err)
				if want := f.frames[f.entries[i].Entry.Batches[j].Extent]; !bytes.Equal(got, want) {
					t.Fatalf("batch %d of entry %d is not as it was archived", j, e.Sequence)
				}
			}
		}
	}
}

func TestManySegmentsAreReadByLists(t *testing.T) {
	f := newFixtureOf(t, &memory{objects: make(map[string][]byte)})
	for range manifest.MaxSegments + manifest.ListSegments + 5 {
		f.archive(1, 1)
	}
	if n := len(f.writer.Manifest.Lists); n != 2 {
		t.Fatalf("%d lists", n)
	}
	f.wantAll(f.read(1, 100), 1)
	size, err := f.reader.Size(t.Context(), f.history, partition)
	must(t, err)
	oldest := f.writer.Manifest.Lists[0].FirstTime
	if want := manifest.MaxSegments + manifest.ListSegments + 5; size.Segments != want || size.Bytes < int64(100*want) || size.Oldest != oldest || oldest == 0 {
		t.Errorf("the size is %+v, want %d segments", size, want)
	}
	for _, offset := range []int64{0, 300, 511, 512, 1000, 1545} {
		f.cold()
		left, err := f.reader.NarrowOffset(t.Context(), f.history, partition, offset, 1, f.history.End.Sequence+1)
		must(t, err)
		if sequence := uint64(offset) + 1; left.Low > sequence || left.Above <= sequence || left.Above-left.Low > 2 || left.First != 1 {
			t.Errorf("offset %d: %+v", offset, left)
		}
	}
}

func TestFewRequestsReadAnEntry(t *testing.T) {
	f := newFixture(t)
	f.archive(repeat(20_000, 1)...)
	f.store.count()
	f.cold()
	_, err := f.reader.Entries(t.Context(), f.history, partition, 5_000, 1)
	must(t, err)
	if n := f.store.count(); n > 5 { // two for the manifest, two for the footer, one for the page
		t.Errorf("%d requests", n)
	}
	read := f.read(1, 256)
	if pages, n := len(f.footer().Pages), f.store.count(); n > pages/10+2 {
		t.Errorf("%d requests for %d pages", n, pages)
	}
	f.wantAll(read, 1)
	f.read(1, 256)
	if n := f.store.count(); n != 0 {
		t.Errorf("%d requests for what is in the cache", n)
	}
}

func TestSmallSegmentIsReadWithOneRequest(t *testing.T) {
	f := newFixture(t)
	f.archive(1, 2, 1)
	_, err := f.reader.Manifest(t.Context(), f.history, partition)
	must(t, err)
	f.store.count()
	f.read(1, 1)
	if n := f.store.count(); n != 1 {
		t.Errorf("%d requests", n)
	}
	if !f.reader.InMemory(f.history, 2) {
		t.Error("an entry that was read is not in memory")
	}
	if f.cold(); f.reader.InMemory(f.history, 2) {
		t.Error("an entry is in memory before anything was read")
	}
}

// footer returns the footer of the last segment.
func (f *fixture) footer() *segment.Footer {
	s := f.writer.Manifest.Segments[len(f.writer.Manifest.Segments)-1]
	found, err := f.reader.footer(f.Context(), &s, partition)
	must(f, err)
	return found
}

func TestCacheIsBounded(t *testing.T) {
	f := newFixture(t)
	f.archive(repeat(20_000, 1)...)
	f.reader = New(Config{Store: f.store, CacheBytes: 100 << 10})
	f.wantAll(f.read(1, 256), 1)
	if n := f.reader.cache.WeightedSize() + uint64(f.reader.pages.bytes); n > 200<<10 {
		t.Errorf("%d bytes are in the cache", n)
	}
}

// A scan uses each page once, and there are more of them than fit into memory.
func TestLongScanReadsEachPageOnce(t *testing.T) {
	f := newFixture(t)
	f.archive(repeat(20_000, 1)...)
	pages := f.footer().Pages
	bytes := pages[len(pages)-1].Position + pages[len(pages)-1].Length - pages[0].Position
	f.reader = New(Config{Store: f.store, CacheBytes: bytes / 4})
	f.store.count()
	f.wantAll(f.read(1, 256), 1)
	// At least a fifth of the memory is read at once.
	if n := f.store.count(); n > 4*6+6 {
		t.Errorf("%d requests for %d pages", n, len(pages))
	}
}

func TestMissingEntriesAreFoundAhead(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		f.archive(repeat(2_000, 1)...)
	}
	if next, near := f.reader.Missing(f.history, 1); next != 1 || !near {
		t.Errorf("with nothing in memory: %d, %t", next, near)
	}
	for reads := 0; ; reads++ {
		next, near := f.reader.Missing(f.history, 1)
		if !near {
			break
		}
		if reads > 20 {
			t.Fatalf("entry %d is missing after %d reads", next, reads)
		}
		_, err := f.reader.Entries(t.Context(), f.history, partition, next, 1)
		must(t, err)
		if !f.reader.InMemory(f.history, next) {
			t.Fatalf("entry %d is not in memory after it was read", next)
		}
	}
	if next, near := f.reader.Missing(f.history, f.history.End.Sequence+1); near {
		t.Errorf("behind the end: %d", next)
	}
}

func TestReadersOfOnePartShareItsRequest(t *testing.T) {
	f := newFixture(t)
	f.archive(1, 2, 3)
	arrived, answer := make(chan struct{}, 100), make(chan struct{})
	f.store.before = func(context.Context, int, string) error {
		arrived <- struct{}{}
		<-answer
		return nil
	}
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if _, err := f.reader.Entries(t.Context(), f.history, partition, 1, 10); err != nil {
				t.Error(err)
			}
		})
	}
	<-arrived
	close(answer)
	wait.Wait()
	if n := f.store.count(); n != 2 {
		t.Errorf("%d requests, want 2: one for the manifest and one for the segment", n)
	}
}

func TestReaderThatLeavesDoesNotFailTheOthers(t *testing.T) {
	f := newFixture(t)
	f.archive(1)
	leaving, leave := context.WithCancel(t.Context())
	arrived := make(chan struct{})
	f.store.before = func(ctx context.Context, n int, _ string) error {
		if n == 1 {
			close(arrived)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		if _, err := f.reader.Entries(leaving, f.history, partition, 1, 1); err == nil {
			t.Error("the reader that has left got entries")
		}
	})
	<-arrived
	wait.Go(func() {
		if _, err := f.reader.Entries(t.Context(), f.history, partition, 1, 1); err != nil {
			t.Error(err)
		}
	})
	leave()
	wait.Wait()
}

func TestHungRequestIsGivenUp(t *testing.T) {
	f := newFixture(t)
	f.archive(1)
	f.reader = New(Config{Store: f.store, Timeout: time.Millisecond})
	f.store.before = func(ctx context.Context, _ int, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	}
	if _, err := f.reader.Entries(t.Context(), f.history, partition, 1, 1); err == nil || isDamage(err) {
		t.Errorf("error %v, want one that may pass", err)
	}
}
