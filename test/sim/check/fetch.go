package check

import (
	"slices"
	"sort"
	"time"

	"laneway.dev/pkg/messages"
)

// frame is a batch in the log.
type frame struct {
	offset, records int64
	time            time.Time
	batch           Batch
	extent          messages.Extent
}

func (f frame) next() int64 { return f.offset + f.records }

// consumed is what a consumer was sent.
type consumed struct {
	placed bool      // where it starts is known
	next   int64     // if placed: the offset of the next record
	least  int64     // of a consumer that starts at the end: where the log ended at its first request
	first  bool      // it starts with the first record
	start  int64     // where the log started when its newest fetch was requested
	since  time.Time // of a consumer that starts at a time
	end    int64     // where the log ended when its newest fetch was requested
}

// Fetching is a request of a consumer. Earliest, Latest and Time are those of its first request.
type Fetching struct {
	Consumer         int
	Placed           bool  // Offset is known
	Offset           int64 // of the next record
	Earliest, Latest bool
	Time             time.Time
}

func (f Fetching) look(s *State) {
	c, known := s.consumers[f.Consumer]
	if !known {
		c = consumed{placed: f.Placed, next: f.Offset, since: f.Time, first: f.Earliest}
		if f.Latest {
			c.least = s.nextOffset
		}
	}
	if !c.placed && f.Placed {
		c = s.starts(f.Consumer, c, f.Offset)
	}
	c.start = s.archived.Start
	if f.Placed && f.Offset != c.next {
		s.violated("I9: consumer %d continues at offset %d, want %d", f.Consumer, f.Offset, c.next)
	}
	c.end = s.nextOffset
	s.consumers.put(s, f.Consumer, c)
}

// starts checks that a consumer that has named no offset misses nothing at its start.
func (s *State) starts(consumer int, c consumed, offset int64) consumed {
	if offset < c.least {
		s.violated("I9: consumer %d starts at offset %d, and the log ended at %d when it asked for the end", consumer, offset, c.least)
	}
	if c.first && !s.begins[offset] || offset < c.start {
		s.violated("I9: consumer %d starts at offset %d, and the log started at %d when it asked", consumer, offset, c.start)
	}
	if !c.since.IsZero() {
		for _, f := range s.since(c.since) {
			if f.offset < offset && s.archived.Start < offset {
				s.violated("I9: consumer %d starts at offset %d, and misses %d, which is as young as it wants", consumer, offset, f.offset)
			}
		}
	}
	c.placed, c.next = true, offset
	return c
}

// Delivered is a frame or a record that a consumer has accepted. Records below From were
// delivered before.
type Delivered struct {
	Consumer        int
	Offset, Records int64
	From            int64
	Batch           Batch // the content; Records counts only for a frame
}

func (d Delivered) look(s *State) {
	s.counts.Fetched++
	c := s.consumers[d.Consumer]
	if !c.placed {
		c = s.starts(d.Consumer, c, d.From)
		if f, there := s.frameAt(d.From); there && f.time.Before(c.since) {
			s.violated("I9: consumer %d starts at offset %d, which is older than it wants", d.Consumer, d.From)
		}
	}
	switch got := max(d.From, d.Offset); {
	case got != c.next:
		s.violated("I9: consumer %d gets offset %d, want %d", d.Consumer, got, c.next)
	case got < c.start:
		s.violated("I9: consumer %d gets offset %d, and the log started at %d when it asked", d.Consumer, got, c.start)
	}
	f, there := s.frameAt(d.Offset)
	want := Batch{f.batch.Client, f.batch.First + int(d.Offset-f.offset), d.Batch.Records}
	if !there || d.Batch != want || d.Offset+d.Records > f.next() {
		s.violated("I9: consumer %d gets %s at offsets %d to %d, the log has %s at %d to %d", d.Consumer, d.Batch, d.Offset, d.Offset+d.Records-1,
			f.batch, f.offset, f.next()-1)
	}
	c.next = d.Offset + d.Records
	s.consumers.put(s, d.Consumer, c)
}

// frameAt returns the batch that has an offset.
func (s *State) frameAt(offset int64) (frame, bool) {
	i := len(s.frames) - len(s.framesFrom(offset+1)) - 1
	if i < 0 || offset >= s.frames[i].next() {
		return frame{}, false
	}
	return s.frames[i], true
}

// framesFrom returns the batches in the log that start at an offset or after it.
func (s *State) framesFrom(offset int64) []frame {
	i := sort.Search(len(s.frames), func(i int) bool { return s.frames[i].offset >= offset })
	return s.frames[i:]
}

// Damaged is a batch in the object store that cannot be read any more.
type Damaged struct{ Extent messages.Extent }

func (d Damaged) look(s *State) {
	s.counts.BatchesDamaged++
	s.damaged.put(s, d.Extent, true)
}

// Passed is a gap that a consumer has accepted, or damage that it passes over.
type Passed struct {
	Consumer    int
	First, Last int64
	Damage      bool
}

func (p Passed) look(s *State) {
	if p.Damage {
		s.counts.DamageFetched++
	} else {
		s.counts.GapsFetched++
	}
	c := s.consumers[p.Consumer]
	if !c.placed {
		c = s.starts(p.Consumer, c, p.First)
	}
	if p.First != c.next {
		s.violated("I9: consumer %d gets a gap from offset %d on, want %d", p.Consumer, p.First, c.next)
	}
	if p.Last >= s.nextOffset {
		s.violated("I9: consumer %d gets a gap up to offset %d, the log ends at %d", p.Consumer, p.Last, s.nextOffset)
	}
	for _, f := range s.frames {
		if f.offset <= p.Last && f.next() > p.First && (!p.Damage || !s.damaged[f.extent]) {
			s.violated("I9: consumer %d gets a gap from offset %d to %d, where the log has %s", p.Consumer, p.First, p.Last, f.batch)
		}
	}
	c.next = p.Last + 1
	s.consumers.put(s, p.Consumer, c)
}

// Consumed is the end of a consumer that does not follow.
type Consumed struct {
	Consumer int
	Next     int64
	Full     bool // it has as many records as it wants
}

func (d Consumed) look(s *State) {
	s.counts.Consumed++
	c := s.consumers[d.Consumer]
	if !c.placed {
		c = s.starts(d.Consumer, c, d.Next)
	}
	if d.Next != c.next {
		s.violated("I9: consumer %d ends at offset %d, want %d", d.Consumer, d.Next, c.next)
	}
	if !d.Full && c.next < c.end {
		s.violated("I9: consumer %d ends at offset %d, and the log ended at %d when it asked", d.Consumer, c.next, c.end)
	}
	s.consumers.put(s, d.Consumer, c)
}

// Following is a consumer without an end, long after all faults have ended. Next is its place,
// if it knows one. A consumer that starts at the end knows its place from a heartbeat if
// nothing was appended since; one that starts at a time knows none until the log has a record
// of that time or later.
type Following struct {
	Consumer int
	Placed   bool
	Next     int64
}

func (f Following) look(s *State) {
	c := s.consumers[f.Consumer]
	if !c.placed && f.Placed {
		c = s.starts(f.Consumer, c, f.Next)
	}
	switch {
	case c.placed && f.Next == c.next && c.next == s.nextOffset:
	case !c.placed && c.first && s.archived.Start == s.nextOffset:
	case !c.placed && !c.since.IsZero() && len(s.since(c.since)) == 0:
	default:
		s.violated("I9: consumer %d has read up to offset %d, and takes itself to be at %d; the log ends at %d", f.Consumer, c.next, f.Next, s.nextOffset)
	}
}

// since returns the batches that are left in the log behind the last entry that is older than a time.
// Before that one, times were those of a clock that was ahead.
func (s *State) since(t time.Time) []frame {
	start := s.archived.Start
	for i := len(s.entries) - 1; i > 0; i-- {
		if n := &s.entries[i].Entry; n.At().Before(t) {
			start = max(start, n.NextOffset())
			break
		}
	}
	return slices.DeleteFunc(slices.Clone(s.frames), func(f frame) bool { return f.next() <= start || f.time.Before(t) })
}
