package core

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const kib, mib = 1 << 10, 1 << 20

func never(string) bool { return false }

// everything is the retention of a topic that keeps everything.
var everything messages.Kept

// sized returns a manifest with segments of these sizes.
func sized(sizes ...int64) *manifest.Manifest {
	m := &manifest.Manifest{}
	for i, size := range sizes {
		m.Segments = append(m.Segments, segment.Summary{Key: fmt.Sprint(i), Size: size})
	}
	return m
}

func TestSegmentsAreMergedOnceTheResultIsFourTimesAsLarge(t *testing.T) {
	for name, c := range map[string]struct {
		sizes []int64
		next  int64
		want  int
	}{
		"the first one":              {nil, 100, 0},
		"two of a size":              {[]int64{100}, 100, 0},
		"three of a size":            {[]int64{100, 100}, 100, 0},
		"four of a size":             {[]int64{100, 100, 100}, 100, 3},
		"not with a larger one":      {[]int64{1000, 100, 100, 100}, 100, 3},
		"with a large one by chance": {[]int64{100}, 300, 1},
		"through all sizes":          {[]int64{1600, 1600, 1600, 400, 400, 400, 100, 100, 100}, 100, 9},
		"the most that is possible":  {[]int64{399, 100, 100, 100, 100, 100, 100, 100, 100, 100}, 297, 10},
		"a little too few":           {[]int64{400, 300, 100, 100, 100, 100, 100, 100, 100}, 199, 7},
		"no large ones":              {[]int64{mib, 16 * mib}, 64 * mib, 0},
		"up to a large one":          {[]int64{mib, 16 * mib, mib}, 3 * mib, 1},
		"no more than 64 MiB":        {[]int64{15 * mib, 15 * mib, 15 * mib, 15 * mib}, 15 * mib, 3},
		"not after a full job":       {[]int64{mib}, 64*mib - 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if n := Mergeable(sized(c.sizes...), &segment.Summary{Size: c.next}, everything, never); n != c.want {
				t.Errorf("%d are merged, want %d", n, c.want)
			}
		})
	}
}

func TestSegmentsThatCannotBeMergedAreLeftWithThoseBefore(t *testing.T) {
	m := sized(100, 100, 100, 100, 100, 100)
	s := &segment.Summary{Size: 100}
	if n := Mergeable(m, s, everything, func(key string) bool { return key == "1" }); n != 4 {
		t.Errorf("%d are merged after one that is to be skipped, want 4", n)
	}
	if n := Mergeable(m, s, everything, func(key string) bool { return key == "3" }); n != 0 {
		t.Errorf("%d are merged after one that is to be skipped, want none", n)
	}
	m.Segments[4].Incarnation, m.Segments[5].Incarnation, s.Incarnation = 1, 1, 1
	s.Size = 400
	if n := Mergeable(m, s, everything, never); n != 2 {
		t.Errorf("%d are merged after an accepted loss, want 2", n)
	}
}

func TestMergedSegmentsAreAPartOfWhatIsKept(t *testing.T) {
	m := sized(100, 100, 100, 100, 100, 100, 100, 100)
	for i := range m.Segments {
		m.Segments[i].FirstTime, m.Segments[i].LastTime = int64(1000+10*i), int64(1009+10*i)
	}
	s := &segment.Summary{Size: 100, FirstTime: 1080, LastTime: 1089}
	for name, c := range map[string]struct {
		kept messages.Kept
		want int
	}{
		"everything":           {everything, 8},
		"many bytes":           {messages.Kept{Bytes: 8 * 900}, 8},
		"fewer bytes":          {messages.Kept{Bytes: 8*900 - 1}, 7},
		"few bytes":            {messages.Kept{Bytes: 8 * 399}, 0},
		"for a long time":      {messages.Kept{Age: 8 * 89}, 8},
		"for a shorter time":   {messages.Kept{Age: 8 * 88}, 7},
		"for a short time":     {messages.Kept{Age: 8 * 38}, 0},
		"hardly anything":      {messages.Kept{Age: 1}, 0},
		"few bytes and a time": {messages.Kept{Bytes: 8 * 500, Age: 8 * 89}, 4},
	} {
		if n := Mergeable(m, s, c.kept, never); n != c.want {
			t.Errorf("%s: %d are merged, want %d", name, n, c.want)
		}
	}
}

// The stream is young, or the retention was just updated, so the job drops nothing.
func TestAJobThatDropsNothingHasTheBoundOfWhatIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		kept messages.Kept
		want int
	}{
		"everything":       {everything, 1},
		"for a long time":  {messages.Kept{Age: 8 * 12}, 1},
		"for a short time": {messages.Kept{Age: 8*12 - 1}, 0},
		"few bytes":        {messages.Kept{Bytes: 8}, 0},
	} {
		base := messages.History{Manifest: "m", End: messages.Position{Sequence: 10, Offset: 100}}
		p, err := planOf(messages.Archive{Partition: protocol.Partition{TopicID: 7}, Base: base, To: messages.Position{Sequence: 13, Offset: 120}, Kept: c.kept},
			entry(11, 100, 0, 5), entry(12, 107, 2), entry(13, 107, 0, 6, 7))
		if err != nil {
			t.Fatal(err)
		}
		m := sized(1)
		m.Segments[0].FirstTime, m.Segments[0].LastTime = 1, 10
		if n, err := p.Mergeable(m, never); err != nil || n != c.want {
			t.Errorf("%s: %d are merged, want %d; %v", name, n, c.want, err)
		}
	}
}

// An owner's clock was set back after the fourth segment, and is right again with the eighth.
func TestMergedSegmentsKnowTheirLatestTime(t *testing.T) {
	m := sized(100, 100, 100, 100, 100, 100, 100, 100)
	for i := range m.Segments {
		at := int64(1000 + 10*i)
		if i >= 4 {
			at -= 500
		}
		m.Segments[i].FirstTime, m.Segments[i].LastTime = at, at+9
	}
	s := &segment.Summary{Size: 100, FirstTime: 580, LastTime: 589}
	if n := Mergeable(m, s, everything, never); n != 4 {
		t.Errorf("%d are merged, and four are behind the fall", n)
	}
	s.FirstTime, s.LastTime = 1080, 1089
	if n := Mergeable(m, s, everything, never); n != 8 {
		t.Errorf("%d are merged, and all are older than the last one", n)
	}
}

func TestMergesAreBounded(t *testing.T) {
	m := sized(slices.Repeat([]int64{100}, 200)...)
	s := &segment.Summary{Size: 100}
	if n := Mergeable(m, s, everything, never); n != maxMerged {
		t.Errorf("%d are merged", n)
	}
	m.Waiting = make([]string, mergeWaiting-10)
	if n := Mergeable(m, s, everything, never); n != 10 {
		t.Errorf("%d are merged while many keys wait", n)
	}
	m.Waiting = make([]string, mergeWaiting+1)
	if n := Mergeable(m, s, everything, never); n != 0 {
		t.Errorf("%d are merged while too many keys wait", n)
	}
}

// merging is a manifest to which segments are appended.
type merging struct {
	*manifest.Manifest
	copies  []int // for each segment, how often its oldest record was copied
	written int64
}

func (g *merging) add(size int64) {
	s := segment.Summary{Size: size}
	n := Mergeable(g.Manifest, &s, everything, never)
	kept, copies := len(g.Segments)-n, 0
	for i := kept; i < len(g.Segments); i++ {
		s.Size += g.Segments[i].Size
		copies = max(copies, g.copies[i]+1)
	}
	g.Segments, g.copies = append(g.Segments[:kept], s), append(g.copies[:kept], copies)
	g.written += s.Size
}

// A year of one record of 1 KiB a second, with a job every 10 minutes.
func TestASlowTopicHasFewSegments(t *testing.T) {
	const jobs, size = 365 * 24 * 6, 600 * kib
	g := merging{Manifest: &manifest.Manifest{}}
	for range jobs {
		g.add(size)
	}
	amplification := float64(g.written) / (jobs * size)
	t.Logf("%d segments, each record is written %.2f times", len(g.Segments), amplification)
	if len(g.Segments) > 830 || amplification > 4 {
		t.Errorf("%d segments, each record is written %.2f times", len(g.Segments), amplification)
	}
}

// Whatever the sizes of jobs are, a record is copied a bounded number of times, and few small
// segments stay before each large one.
func TestCopiesOfARecordAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		least := rapid.SampledFrom([]int64{500, 10 * kib, mib}).Draw(t, "least")
		most := least * rapid.SampledFrom([]int64{1, 2, 100, 10_000}).Draw(t, "spread")
		bound := 1
		for size := least; size < smallSegment; size *= mergeGrowth {
			bound++
		}
		g := merging{Manifest: &manifest.Manifest{}}
		for range rapid.IntRange(1, 300).Draw(t, "jobs") {
			size := rapid.Int64Range(least, min(most, mergedBytes)).Draw(t, "size")
			g.add(size)
			if last := g.Segments[len(g.Segments)-1]; last.Size > max(mergedBytes, size) {
				t.Fatalf("a segment has %d bytes", last.Size)
			}
		}
		small := 0
		for i, s := range g.Segments {
			if g.copies[i] > bound {
				t.Fatalf("a record was copied %d times, allowed are %d", g.copies[i], bound)
			}
			if s.Size < smallSegment {
				small++
			}
		}
		large := len(g.Segments) - small
		if allowed := (mergeGrowth - 1) * bound * (large + 1); small > allowed {
			t.Fatalf("%d small segments are left beside %d large ones, allowed are %d", small, large, allowed)
		}
	})
}
