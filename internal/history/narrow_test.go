package history

import (
	"testing"
	"time"

	"laneway.dev/pkg/messages"
)

// narrowed has two segments of many pages with a gap between them, and one of an entry.
func narrowed(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.archive(repeat(3000, 1)...)
	f.gap(50)
	f.archive(repeat(3000, 1)...)
	f.archive(1)
	return f
}

// first returns the first entry that reaches a target.
func (f *fixture) first(reaches func(*messages.Entry) bool) uint64 {
	for i := range f.entries {
		if reaches(&f.entries[i].Entry) {
			return f.entries[i].Sequence
		}
	}
	return f.history.End.Sequence + 1
}

func TestOffsetIsNarrowedToAPage(t *testing.T) {
	f := narrowed(t)
	end := f.history.End.Sequence + 1
	for offset := int64(0); offset < f.history.End.Offset; offset += 7 {
		left, err := f.reader.NarrowOffset(t.Context(), f.history, partition, offset, 1, end)
		must(t, err)
		want := f.first(func(e *messages.Entry) bool { return e.NextOffset() > offset })
		if left.Low > want || left.Above < want || left.Above-left.Low > 1000 || left.First != 1 {
			t.Fatalf("offset %d: %+v, want entry %d in it", offset, left, want)
		}
	}
}

func TestTimeIsNarrowedToAPage(t *testing.T) {
	f := narrowed(t)
	end := f.history.End.Sequence + 1
	for at := int64(990); at < 1000+10*6001+20; at += 35 {
		left, err := f.reader.NarrowTime(t.Context(), f.history, partition, time.Unix(0, at), 1, end)
		must(t, err)
		want := f.first(func(e *messages.Entry) bool { return e.Time >= at })
		if left.Low > want || left.Above < want || left.Above-left.Low > 1000 {
			t.Fatalf("time %d: %+v, want entry %d in it", at, left, want)
		}
	}
}

func TestSearchStaysWithinItsRange(t *testing.T) {
	f := narrowed(t)
	for _, c := range []struct{ low, above uint64 }{{100, 200}, {2990, 3010}, {3001, 6002}, {6001, 6002}} {
		for _, target := range []int64{0, 150, 2995, 3020, 6050} {
			for _, narrow := range []func() (Range, error){
				func() (Range, error) {
					return f.reader.NarrowOffset(t.Context(), f.history, partition, target, c.low, c.above)
				},
				func() (Range, error) {
					return f.reader.NarrowTime(t.Context(), f.history, partition, time.Unix(0, 1000+10*target), c.low, c.above)
				},
			} {
				left, err := narrow()
				must(t, err)
				if left.Low < c.low || left.Above > c.above || left.Low > left.Above {
					t.Errorf("%d in %d to %d: %+v", target, c.low, c.above, left)
				}
			}
		}
	}
}

func TestTimesThatFallAreSearchedByStretch(t *testing.T) {
	f := newFixture(t)
	f.archive(repeat(1000, 1)...)
	f.next.Entry.Time, f.next.Entry.RisingFrom = 1000, 1001
	f.archive(repeat(1000, 1)...)
	for begin, end := uint64(1), uint64(1001); begin <= 1001; begin, end = begin+1000, end+1000 {
		left, err := f.reader.NarrowTime(t.Context(), f.history, partition, time.Unix(0, 6000), begin, end)
		must(t, err)
		if want := begin + 500; left.Low > want || left.Above < want || left.Above-left.Low > 500 {
			t.Errorf("%+v, want entry %d in it", left, want)
		}
	}
}

func TestBoundsAreTheFirstEntryThatCanBeRead(t *testing.T) {
	f := narrowed(t)
	for start, want := range map[int64]uint64{
		0: 1, 1: 2, 1500: 1501, 2999: 3000, 3000: 3001, 3049: 3001, 3050: 3001, 3051: 3002, f.history.End.Offset: f.history.End.Sequence + 1,
	} {
		f.writer.Manifest.Start = start
		first, offset, err := f.reader.Bounds(t.Context(), f.writer.Publish(), partition)
		if must(t, err); first != want || offset != start {
			t.Errorf("a log that starts at offset %d: entry %d, offset %d, want entry %d", start, first, offset, want)
		}
	}
}
