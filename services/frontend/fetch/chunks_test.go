package fetch

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"laneway.dev/internal/history/historytest"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// segmentReads counts the reads of segments, and changes what they return.
type segmentReads struct {
	objectstore.Store
	mu    sync.Mutex
	reads []string
	after func(ctx context.Context, offset int64, content []byte) // may be nil
}

func (s *segmentReads) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	content, err := s.Store.ReadRange(ctx, key, offset, length)
	if err == nil && objectstore.KeyKind(key) == objectstore.KindSegment {
		s.mu.Lock()
		s.reads = append(s.reads, fmt.Sprintf("%s %d+%d", key, offset, length))
		after := s.after
		s.mu.Unlock()
		if after != nil {
			after(ctx, offset, content)
		}
	}
	return content, err
}

// scanned is a fixture with records of a size that are archived in segments of so many records each.
type scanned struct {
	*fixture
	store  *segmentReads
	values []string
}

func newScanned(t *testing.T, size int, codec protocol.Compression, segments ...int) *scanned {
	t.Helper()
	s := &scanned{store: new(segmentReads)}
	s.fixture = newFixture(t, func(c *Config) { s.store.Store, c.Store = c.Store, s.store })
	w := historytest.New(t, s.store.Store, s.id)
	w.Codec = codec
	some := []stored{s.created()}
	var h messages.History
	for _, records := range segments {
		var batches [][]protocol.Record // of an entry
		for i := range records {
			n := len(s.values)
			value := fmt.Sprintf("%d %s", n, bytes.Repeat([]byte{byte('a' + n%26), byte(n % 251)}, size/2+n%7))
			s.values = append(s.values, value)
			if batches = append(batches, lines(value)); len(batches) == 200 || i == records-1 {
				some, batches = append(some, s.commit(batches...)), nil
			}
		}
		h = s.archive(w, some...)
		some = nil
	}
	s.carry(h)
	return s
}

// count returns how many reads of segments there were.
func (s *scanned) count() int {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return len(s.store.reads)
}

var wide = fields{"from": "earliest", "window_bytes": 8 << 20, "frames": true}

// scan reads everything, with credit, and returns the values.
func (s *scanned) scan(request fields) (values []string, last string) {
	s.Helper()
	c := s.fetch(request)
	for {
		m := c.beyondBeats()
		if m.Header.Get(protocol.HeaderStatus) != "" {
			return values, m.Header.Get(protocol.HeaderStatus)
		}
		values = append(values, valuesOf(s, m)...)
		if m.Reply != "" {
			c.grant(m, len(m.Data))
		}
	}
}

func (s *scanned) wantsAll() {
	s.Helper()
	values, last := s.scan(wide)
	if last != protocol.StatusEnd || len(values) != len(s.values) {
		s.Fatalf("%d records of %d, then %s", len(values), len(s.values), last)
	}
	for i := range values {
		if values[i] != s.values[i] {
			s.Fatalf("record %d is %.20q, want %.20q", i, values[i], s.values[i])
		}
	}
}

func TestSegmentsAreReadInLargePieces(t *testing.T) {
	for _, codec := range []protocol.Compression{protocol.CompressionNone, protocol.CompressionS2} {
		s := newScanned(t, 20<<10, codec, 300, 300, 1, 300) // 18 MB
		s.wantsAll()
		// Each segment has 6 MB: two pieces, the footer, and perhaps pages and the rest of the first load.
		if n := s.count(); n > 18 {
			t.Errorf("%q: %d reads:\n%s", codec, n, strings.Join(s.store.reads, "\n"))
		}
		s.until(func() bool { return len(s.server.ahead) == 0 })
	}
}

// Otherwise a remote store would be asked for some hundred KiB at a time.
func TestPiecesOfShortBatchesAreLarge(t *testing.T) {
	s := newScanned(t, 400, protocol.CompressionNone, 16_000) // 6.5 MB, in 16 loads or more
	s.wantsAll()
	if n := s.count(); n > 12 {
		t.Errorf("%d reads:\n%s", n, strings.Join(s.store.reads, "\n"))
	}
}

// One request after the other would take 100 ms more with a remote store.
func TestFirstPieceIsReadTogetherWithTheIndex(t *testing.T) {
	s := newScanned(t, 20<<10, protocol.CompressionNone, 300)
	var begun, alone atomic.Bool
	first := make(chan struct{})
	s.store.after = func(ctx context.Context, offset int64, _ []byte) {
		if offset == 0 {
			if begun.CompareAndSwap(false, true) {
				close(first)
			}
			return
		}
		select {
		case <-first:
		case <-ctx.Done():
			alone.Store(true)
		}
	}
	s.wantsAll()
	if alone.Load() {
		t.Error("the index was read before the first piece was asked for")
	}
}

func TestIndexIsReadWithOneRequest(t *testing.T) {
	s := newScanned(t, 2<<10, protocol.CompressionNone, 8000) // its pages have more than 128 KiB
	s.wantsAll()
	index := 0
	for _, read := range s.store.reads {
		var key string
		var offset, length int64
		if _, err := fmt.Sscanf(read, "%s %d+%d", &key, &offset, &length); err != nil || length <= 512<<10 {
			index++
		}
	}
	if index != 1 {
		t.Errorf("%d reads:\n%s", index, strings.Join(s.store.reads, "\n"))
	}
}

func TestFrameLongerThanAPieceIsReadAhead(t *testing.T) {
	s := newScanned(t, 5<<20, protocol.CompressionNone, 2, 3)
	s.wantsAll()
}

func TestPieceThatIsWrongIsReadAgain(t *testing.T) {
	s := newScanned(t, 20<<10, protocol.CompressionNone, 300, 300)
	var flipped atomic.Int32
	s.store.after = func(_ context.Context, _ int64, content []byte) {
		if len(content) > 1<<20 && flipped.Add(1)%2 == 0 {
			content[len(content)/3] ^= 1
		}
	}
	s.wantsAll()
	if flipped.Load() < 4 {
		t.Errorf("%d pieces", flipped.Load())
	}
}

func TestPieceThatHangsDelaysNothingForLong(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := newScanned(t, 20<<10, protocol.CompressionNone, 600)
	var hung atomic.Bool
	s.store.after = func(ctx context.Context, _ int64, content []byte) {
		if len(content) > 1<<20 && hung.CompareAndSwap(false, true) {
			<-ctx.Done()
		}
	}
	s.wantsAll()
	if !hung.Load() {
		t.Error("nothing was read in pieces")
	}
}

func TestPiecesAreDroppedWhenTheConsumerTakesNothing(t *testing.T) {
	s := newScanned(t, 20<<10, protocol.CompressionNone, 600)
	c := s.fetch(wide)
	c.data()
	s.until(func() bool { return len(s.server.ahead) > 0 })
	began := time.Now()
	s.until(func() bool { return len(s.server.ahead) == 0 })
	if time.Since(began) > patience/2 {
		t.Error("late")
	}
}

func TestFetchOfFewRecordsReadsNoPieces(t *testing.T) {
	s := newScanned(t, 20<<10, protocol.CompressionNone, 600)
	for _, request := range []fields{
		{"from": "earliest", "max_records": 2},
		{"from": "earliest", "window_bytes": 8 << 20, "max_records": 2},
		{"from": "earliest", "max_bytes": 50 << 10},
		{"from": "earliest", "window_bytes": 50 << 10, "max_records": 2},
	} {
		s.scan(request)
		s.store.mu.Lock()
		for _, read := range s.store.reads {
			var key string
			var offset, length int64
			if _, err := fmt.Sscanf(read, "%s %d+%d", &key, &offset, &length); err != nil || length > 512<<10 {
				t.Errorf("%v: %s, %v", request, read, err)
			}
		}
		s.store.reads = nil
		s.store.mu.Unlock()
	}
}
