package recovery

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/core/layout"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

var orders = protocol.Partition{Topic: "orders", TopicID: 7, Number: 1}

// shelf is a store with parts of a log that has a record in each entry. The value of a record names
// its offset and its segment.
type shelf struct {
	t      *testing.T
	folder string
	store  objectstore.Store
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{t: t, folder: t.TempDir()}
	var err error
	if s.store, err = objectstore.Open(s.folder, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	return s
}

func (s *shelf) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// segment stores a segment of the offsets from one up to another. A gap directly below the first
// record is a part of it.
func (s *shelf) segment(incarnation uint32, name string, from, to, gap int64) segment.Summary {
	s.t.Helper()
	key, err := objectstore.NewSegmentKey(1, time.Now(), nil)
	s.must(err)
	id := orders
	id.Incarnation = incarnation
	builder := segment.NewBuilder(key, id, "")
	for offset := from + gap; offset < to; offset++ {
		frame := protocol.EncodeRecord(protocol.Record{Value: fmt.Appendf(nil, "%d%s", offset, name)})
		n := messages.Entry{TopicID: id.TopicID, BaseOffset: offset, Gap: gap, Batches: []messages.Placeholder{{
			Batch: messages.Batch{Records: 1}, Extent: messages.Extent{Key: "o", Length: int64(len(frame)), CRC: layout.Sum(frame)},
		}}}
		s.must(builder.Add(messages.LoggedEntry{Sequence: uint64(incarnation)<<32 + uint64(offset) + 1, Entry: n}, [][]byte{frame}))
		gap = 0
	}
	parts, summary, err := builder.Finish()
	s.must(err)
	s.must(s.store.Put(s.t.Context(), key, parts))
	return summary
}

// manifest stores a manifest of a segment.
func (s *shelf) manifest(start int64, of segment.Summary) {
	s.t.Helper()
	key, err := objectstore.NewManifestKey(1, time.Now(), nil)
	s.must(err)
	next, _, err := new(manifest.New(orders)).Append(key, of, "")
	s.must(err)
	next.Start = start
	s.must(s.store.Put(s.t.Context(), key, [][]byte{manifest.Encode(next)}))
}

// damage alters the value of a record.
func (s *shelf) damage(of segment.Summary, value string) {
	s.t.Helper()
	file := filepath.Join(s.folder, filepath.FromSlash(of.Key))
	content, err := os.ReadFile(file)
	s.must(err)
	at := bytes.Index(content, []byte(value))
	if at < 0 {
		s.t.Fatalf("%s has no %q", of.Key, value)
	}
	content[at] ^= 1
	s.must(os.Remove(file))
	s.must(os.WriteFile(file, content, 0o600))
}

// read returns the values of all records, and what is said of the gaps.
func (s *shelf) read() (values string, gaps []string) {
	s.t.Helper()
	found, err := Find(s.t.Context(), s.store, Filter{}, func(int) {})
	s.must(err)
	if len(found.Partitions) != 1 || len(found.Unreadable) > 0 {
		s.t.Fatalf("found are %d partitions, unreadable %v", len(found.Partitions), found.Unreadable)
	}
	var all []string
	s.must(found.Partitions[0].Read(s.t.Context(), s.store, Output{
		Record: func(r *client.Record) error {
			all = append(all, string(r.Value))
			if !strings.HasPrefix(string(r.Value), fmt.Sprint(r.Offset)) || r.Topic != "orders" || r.Partition != 1 {
				s.t.Errorf("record %+v", r)
			}
			return nil
		},
		Gap: func(g client.Gap) error {
			gaps = append(gaps, fmt.Sprintf("%d-%d %t", g.First, g.Last, g.Err != nil))
			return nil
		},
	}))
	return strings.Join(all, " "), gaps
}

func TestReadsEachOffsetOnce(t *testing.T) {
	for name, test := range map[string]struct {
		store  func(*shelf)
		values string
		gaps   []string
	}{
		"a merged segment replaces its parts": {
			func(s *shelf) { s.segment(0, "a", 0, 2, 0); s.segment(0, "b", 2, 4, 0); s.segment(0, "ab", 0, 4, 0) },
			"0ab 1ab 2ab 3ab", nil,
		},
		"segments that overlap in part": {
			func(s *shelf) { s.segment(0, "a", 0, 3, 0); s.segment(0, "b", 1, 5, 0) },
			"0a 1a 2a 3b 4b", nil,
		},
		"another segment replaces a damaged batch": {
			func(s *shelf) { s.damage(s.segment(0, "ab", 0, 4, 0), "1ab"); s.segment(0, "a", 0, 2, 0) },
			"0ab 1a 2ab 3ab", nil,
		},
		"damaged batches are one gap": {
			func(s *shelf) { a := s.segment(0, "a", 0, 4, 0); s.damage(a, "1a"); s.damage(a, "2a") },
			"0a 3a",
			[]string{"1-2 true"},
		},
		"a segment is missing": {
			func(s *shelf) { s.segment(0, "a", 0, 2, 0); s.segment(0, "c", 4, 5, 0) },
			"0a 1a 4c",
			[]string{"2-3 true"},
		},
		"the last segment is missing": {
			func(s *shelf) {
				s.segment(0, "a", 0, 2, 0)
				last := s.segment(0, "b", 2, 4, 0)
				s.manifest(0, last)
				s.must(s.store.Delete(s.t.Context(), last.Key))
			},
			"0a 1a",
			[]string{"2-3 true"},
		},
		"dropped records": {
			func(s *shelf) { s.manifest(1, s.segment(0, "a", 0, 4, 0)) },
			"1a 2a 3a", nil,
		},
		"offsets without records": {
			func(s *shelf) { s.segment(0, "a", 0, 2, 0); s.segment(0, "b", 2, 6, 2) },
			"0a 1a 4b 5b",
			[]string{"2-3 false"},
		},
		"a repair gave records up": {
			func(s *shelf) { s.segment(0, "old", 0, 4, 0); s.segment(1, "new", 2, 8, 4) },
			"0old 1old 6new 7new",
			[]string{"2-5 false"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t)
			test.store(s)
			if values, gaps := s.read(); values != test.values || !slices.Equal(gaps, test.gaps) {
				t.Errorf("read are %q and the gaps %q, want %q and %q", values, gaps, test.values, test.gaps)
			}
		})
	}
}

func TestFilterSelects(t *testing.T) {
	s := newShelf(t)
	s.segment(0, "a", 0, 1, 0)
	for _, test := range []struct {
		filter Filter
		want   int
	}{
		{Filter{}, 1},
		{Filter{Topic: "orders", TopicID: 7, Partition: new(int32(1))}, 1},
		{Filter{Topic: "other"}, 0},
		{Filter{TopicID: 8}, 0},
		{Filter{Partition: new(int32(0))}, 0},
	} {
		found, err := Find(t.Context(), s.store, test.filter, func(int) {})
		if err != nil || len(found.Partitions) != test.want || !slices.Equal(found.Topics, []Topic{{"orders", 7}}) {
			t.Errorf("%+v: %+v, %v", test.filter, found, err)
		}
	}
}
