package segment

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// kept returns what a segment keeps of an entry, without extents.
func kept(e messages.LoggedEntry) messages.LoggedEntry {
	n := e.Entry
	k := messages.Entry{TopicID: n.TopicID, BaseOffset: n.BaseOffset, Gap: n.Gap, Created: n.Created, Time: n.Time, RisingFrom: n.RisingFrom}
	for _, b := range n.Batches {
		k.Batches = append(k.Batches, messages.Placeholder{Batch: messages.Batch{Records: b.Records, MessageID: b.MessageID, Sequence: b.Sequence}})
	}
	return messages.LoggedEntry{Sequence: e.Sequence, Entry: k}
}

func TestSegmentKeepsTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := genLog.Draw(t, "log")
		object, s := build(t, genCodec.Draw(t, "codec"), log)
		f := open(t, object)
		if f.Partition != partition || f.Summary != s {
			t.Fatalf("footer of %v, %+v; want %+v", f.Partition, f.Summary, s)
		}
		want := Summary{
			Key: key, Incarnation: partition.Incarnation, Size: int64(len(object)),
			First: log[0].Sequence, Base: log[0].Entry.BaseOffset - log[0].Entry.Gap, FirstTime: log[0].Entry.Time,
		}
		entries := all(t, object)
		if len(entries) != len(log) {
			t.Fatalf("%d entries of %d", len(entries), len(log))
		}
		for i, e := range log {
			for j, frame := range e.frames {
				x := &entries[i].Entry.Batches[j].Extent
				if frame == nil {
					want.Damaged += int64(e.Entry.Batches[j].Records)
				} else {
					want.Records += int64(e.Entry.Batches[j].Records)
					if got := read(t, object, *x); x.Key != key || !bytes.Equal(got, frame) {
						t.Fatalf("batch %d of entry %d is another one", j, e.Sequence)
					}
					*x = messages.Extent{}
				}
			}
			if diff := cmp.Diff(kept(e.LoggedEntry), entries[i]); diff != "" {
				t.Fatalf("-added +read\n%s", diff)
			}
			want.Missing += e.Entry.Gap
			want.Last, want.End, want.LastTime, want.RisingFrom = e.Sequence, e.Entry.NextOffset(), e.Entry.Time, e.Entry.RisingFrom
		}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Fatalf("-want +got\n%s", diff)
		}
		if s.Records+s.Damaged+s.Missing != s.End-s.Base {
			t.Fatalf("the numbers of offsets of %+v do not add up", s)
		}
	})
}

// A scanner reads the data once, from the first to the last byte.
func TestDataIsInTheOrderOfTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		object, _ := build(t, genCodec.Draw(t, "codec"), genLog.Draw(t, "log"))
		header, end := open(t, object).Header(), open(t, object).Pages[0].Position
		if !bytes.HasPrefix(object, header) {
			t.Fatal("the segment has another header")
		}
		at := int64(len(header))
		var last messages.Extent
		for _, e := range all(t, object) {
			for _, b := range e.Entry.Batches {
				x := b.Extent.Stored()
				if x == last || x == (messages.Extent{}) {
					continue
				}
				if x.Offset != at {
					t.Fatalf("a frame or block at %d, the one before it ends at %d", x.Offset, at)
				}
				at, last = x.Offset+x.Length, x
			}
		}
		if at != end {
			t.Fatalf("the data ends at %d, and the frames at %d", end, at)
		}
	})
}

func TestPageIsFoundBySequenceAndByOffset(t *testing.T) {
	s := from(100, 1000)
	for i := range 2000 {
		s.offset += int64(i % 3)
		s.add(slices.Repeat([][]byte{[]byte("frame")}, i%4)...)
		s.entries[i].Entry.Gap = int64(i % 3)
	}
	object, _ := build(t, "", s.entries)
	f := open(t, object)
	if len(f.Pages) < 5 {
		t.Fatalf("only %d pages", len(f.Pages))
	}
	pageOf := map[uint64]int{}
	for i := range f.Pages {
		for _, e := range page(t, f, i, object) {
			pageOf[e.Sequence] = i
		}
	}
	for _, e := range s.entries {
		if got := f.PageOf(e.Sequence); got != pageOf[e.Sequence] {
			t.Fatalf("entry %d is found in page %d, is in page %d", e.Sequence, got, pageOf[e.Sequence])
		}
		for offset := e.Entry.BaseOffset - e.Entry.Gap; offset < e.Entry.NextOffset(); offset++ {
			if got := f.PageAt(offset); got != pageOf[e.Sequence] {
				t.Fatalf("offset %d of entry %d is found in page %d, is in page %d", offset, e.Sequence, got, pageOf[e.Sequence])
			}
		}
	}
	if got := f.PageOf(0); got != 0 {
		t.Errorf("entry 0 is found in page %d", got)
	}
	if got := f.PageAt(0); got != 0 {
		t.Errorf("offset 0 is found in page %d", got)
	}
	if f.PageOf(f.Last+1) != len(f.Pages) || f.PageAt(f.End) != len(f.Pages) {
		t.Error("what comes after the segment is found in it")
	}
}

func TestPagesAreSmall(t *testing.T) {
	s := from(1, 0)
	for range 3000 {
		s.add([]byte("frame"))
	}
	s.add(slices.Repeat([][]byte{[]byte("frame")}, 2000)...)
	object, _ := build(t, "", s.entries)
	f := open(t, object)
	for i, p := range f.Pages {
		if p.Length > pageSize && len(page(t, f, i, object)) > 1 {
			t.Errorf("page %d has %d bytes", i, p.Length)
		}
		if p.Length < pageSize/2 && i < len(f.Pages)-2 {
			t.Errorf("page %d has only %d bytes", i, p.Length)
		}
	}
}

func TestSearchByTimeIsNarrowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := from(50, 0)
		time := int64(0)
		for range rapid.IntRange(1, 700).Draw(t, "entries") {
			s.add([]byte("frame"))
			s.entries[len(s.entries)-1].Entry.Time = time
			time += rapid.Int64Range(0, 2).Draw(t, "step")
		}
		object, _ := build(t, "", s.entries)
		f := open(t, object)
		begin := rapid.Uint64Range(1, f.Last+1).Draw(t, "begin")
		end := rapid.Uint64Range(begin, f.Last+10).Draw(t, "end")
		wanted := rapid.Int64Range(-1, time+1).Draw(t, "time")
		low, above := f.NarrowTime(begin, end, wanted)
		if low < begin || above > end || low > above {
			t.Fatalf("%d to %d was narrowed to %d to %d", begin, end, low, above)
		}
		for _, e := range s.entries {
			in := e.Sequence >= begin && e.Sequence < end
			if older := e.Entry.Time < wanted; in && (e.Sequence < low && !older || e.Sequence >= above && older) {
				t.Fatalf("entry %d of time %d was searched at time %d, narrowed to %d to %d", e.Sequence, e.Entry.Time, wanted, low, above)
			}
		}
		if begin == f.First && end == f.Last+1 && low < above && f.PageOf(low) < f.PageOf(above-1)-1 {
			t.Fatalf("several pages are left")
		}
	})
}

func TestEmptySegmentIsRefused(t *testing.T) {
	if _, _, err := NewBuilder(key, partition, "").Finish(); err == nil {
		t.Error("a segment without entries was built")
	}
}

func TestAddRefusesWhatDoesNotContinue(t *testing.T) {
	good := func() logged { return from(11, 101).add(frame(100), nil).entries[0] }
	for name, change := range map[string]func(*logged){
		"hole":                 func(e *logged) { e.Sequence++ },
		"repetition":           func(e *logged) { e.Sequence-- },
		"last sequence of all": func(e *logged) { e.Sequence = math.MaxUint64 },
		"missing offsets":      func(e *logged) { e.Entry.BaseOffset++ },
		"repeated offsets":     func(e *logged) { e.Entry.BaseOffset-- },
		"gap of what is there": func(e *logged) { e.Entry.Gap = 1 },
		"another topic":        func(e *logged) { e.Entry.TopicID++ },
		"frame too few":        func(e *logged) { e.frames = e.frames[:1] },
		"frame too many":       func(e *logged) { e.frames = append(e.frames, nil) },
		"frame cut off":        func(e *logged) { e.frames[0] = e.frames[0][:50] },
		"altered frame":        func(e *logged) { e.frames[0][50] ^= 1 },
		"rising from later on": func(e *logged) { e.Entry.RisingFrom = 12 },
	} {
		for _, codec := range []protocol.Compression{"", protocol.CompressionS2} {
			t.Run(name+string(codec), func(t *testing.T) {
				log := from(10, 100).add(frame(50)).entries
				b := NewBuilder(key, partition, codec)
				if err := b.Add(log[0].LoggedEntry, log[0].frames); err != nil {
					t.Fatal(err)
				}
				bad := good()
				change(&bad)
				if err := b.Add(bad.LoggedEntry, bad.frames); err == nil {
					t.Fatal("it was added")
				}
				log = append(log, good())
				if err := b.Add(log[1].LoggedEntry, log[1].frames); err != nil {
					t.Fatalf("the right entry after the wrong one: %v", err)
				}
				parts, _, err := b.Finish()
				if err != nil {
					t.Fatal(err)
				}
				if want, _ := build(t, codec, log); !bytes.Equal(bytes.Join(parts, nil), want) {
					t.Error("the refused entry has changed the segment")
				}
			})
		}
	}
}
