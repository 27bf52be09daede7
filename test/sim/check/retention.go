package check

import (
	"math"
	"time"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
)

// These checks promise that nothing is dropped but what may be: what a truncation has asked for; what
// is older than the retention of the topic by the clock of the log's owner and by JetStream's; and
// what leaves as many bytes as the retention keeps. Segments are dropped as a whole, from the oldest
// one on.

// keeping is the retention that an owner goes by, and what it knows of the time.
type keeping struct {
	age           time.Duration
	bytes         int64
	told, created int64 // by JetStream
	// cutoff is the time before which the jobs that it has sent since it knows the retention may drop.
	cutoff int64
}

// outcome names the result of a job at an owner.
type outcome struct{ owner, manifest string }

// allowance is what the result of a job may drop.
type allowance struct{ cutoff, bytes int64 }

// none is the cutoff before which nothing is dropped.
const none = math.MinInt64

func (s *State) keeping(owner string) keeping {
	k, known := s.keeps[owner]
	if !known {
		k.cutoff = none
	}
	return k
}

// Retains is the retention that a replicator goes by from now on.
type Retains struct {
	Owner string
	Age   time.Duration
	Bytes int64
}

func (r Retains) look(s *State) {
	k := s.keeping(r.Owner)
	if k.age != r.Age || k.bytes != r.Bytes {
		k.age, k.bytes, k.cutoff = r.Age, r.Bytes, none
		s.keeps.put(s, r.Owner, k)
	}
}

// Told is what an owner learns of JetStream's time: that of the last entry, and when the stream was
// created. 0 is unknown.
type Told struct {
	Owner         string
	Last, Created int64
}

func (t Told) look(s *State) {
	if s.counts.TimesAsked++; t.Last == 0 {
		return
	}
	k := s.keeping(t.Owner)
	k.told, k.created = t.Last, t.Created
	s.keeps.put(s, t.Owner, k)
}

// Requested is a job that an owner sends, at a time of its clock.
type Requested struct {
	Owner string
	Clock int64
}

func (r Requested) look(s *State) {
	k, age := s.keeping(r.Owner), s.keeping(r.Owner).age.Nanoseconds()
	if age > 0 && k.told != 0 && k.told-k.created >= age {
		k.cutoff = max(k.cutoff, min(r.Clock, k.told)-age)
		s.keeps.put(s, r.Owner, k)
	}
}

// Resulted is the result of a job that reaches an owner.
type Resulted struct{ Owner, Manifest string }

func (r Resulted) look(s *State) {
	k, of := s.keeping(r.Owner), outcome{r.Owner, r.Manifest}
	a, known := s.allowed[of]
	if !known {
		a.cutoff = none
	}
	if a.cutoff = max(a.cutoff, k.cutoff); k.bytes > 0 && (a.bytes == 0 || k.bytes < a.bytes) {
		a.bytes = k.bytes
	}
	s.allowed.put(s, of, a)
}

// Truncating is a request to drop the records below an offset that reaches an owner. It counts only if
// the log has these records.
type Truncating struct{ Before int64 }

func (t Truncating) look(s *State) {
	if t.Before <= s.nextOffset {
		s.truncatable = max(s.truncatable, t.Before)
	}
}

// Untruncated is the refusal of such a request.
type Untruncated struct {
	Owner  string
	Before int64
}

func (u Untruncated) look(s *State) {
	s.counts.TruncationsRefused++
	if s.owner == u.Owner && u.Before <= s.newest {
		s.violated("retention: %s refuses to drop the records below %d, and the log has them", u.Owner, u.Before)
	}
}

// Truncated is the answer to such a request that reaches a frontend.
type Truncated struct {
	Before, Start int64
	Refused       bool
}

func (t Truncated) look(s *State) {
	if t.Refused {
		return
	}
	s.counts.Truncations++
	if t.Start < t.Before || t.Start > s.archived.Start {
		s.violated("retention: the log is said to start at %d where the records below %d are to be dropped, and starts at %d", t.Start, t.Before, s.archived.Start)
	}
}

// dropped checks what the history that stands in the entry e drops of the one before it, with its
// segments.
func (s *State) dropped(e *messages.LoggedEntry, by string, before messages.History, old []segment.Summary) {
	start := s.archived.Start
	if start == before.Start || s.limits.Object == nil {
		return
	}
	for _, f := range s.frames {
		s.counts.Dropped += int(max(0, min(start, f.next())-max(before.Start, f.offset)))
	}
	if start <= s.truncatable {
		return
	}
	allowed := s.allowed[outcome{by, s.archived.Manifest}]
	gone := s.gone(before, old)
	if n := len(gone); n == 0 || gone[n-1].End != start {
		s.violated("retention: entry %d raises the log start from %d to %d, where no segment ends", e.Sequence, before.Start, start)
		return
	}
	kept, left := before.Bytes, s.archived.Bytes
	for i := range gone {
		left += gone[i].Size
	}
	for i := range gone {
		g := &gone[i]
		kept, left = kept-g.Size, left-g.Size
		switch {
		case g.End <= s.truncatable, max(g.FirstTime, g.LastTime) < allowed.cutoff:
		case allowed.bytes > 0 && max(kept, left) >= allowed.bytes:
		default:
			s.violated("retention: entry %d of %s drops the offsets %d to %d of %s, which were to be kept: dropped is what is older than %s, or leaves %d bytes, and %d are left",
				e.Sequence, by, g.Base, g.End-1, time.Unix(0, g.LastTime).UTC(), time.Unix(0, allowed.cutoff).UTC(), allowed.bytes, max(kept, left))
			return
		}
	}
}

// gone returns the segments that a history drops of the one before it. The segment of a job that was
// dropped at once is among them.
func (s *State) gone(before messages.History, old []segment.Summary) (gone []segment.Summary) {
	end := s.archived.End
	first := end.Sequence + 1
	if len(s.listed) > 0 {
		first = s.listed[0].First
	}
	for i := range old {
		if old[i].Last < first {
			gone = append(gone, old[i])
		}
	}
	if len(s.listed) == 0 && end.Sequence > before.End.Sequence {
		gone = append(gone, segment.Summary{
			Base: before.End.Offset, End: end.Offset, FirstTime: s.entries[before.End.Sequence].Entry.Time, LastTime: s.entries[end.Sequence-1].Entry.Time,
			Size: s.sizeOfDropped(old),
		})
	}
	return gone
}

// sizeOfDropped returns the size of the segment that a job has stored and dropped at once, without what
// was merged into it. Its key waits for its deletion. 0 is unknown.
func (s *State) sizeOfDropped(old []segment.Summary) int64 {
	m, err := manifest.Decode(s.archived.Manifest, s.limits.Object(s.archived.Manifest))
	if err != nil {
		return 0 // readHistory has found that
	}
	for _, key := range m.Waiting {
		object := s.limits.Object(key)
		f, _, err := segment.ParseTail(key, object, int64(len(object)))
		if err != nil || f.Last != s.archived.End.Sequence {
			continue
		}
		size := f.Size
		for i := range old {
			if old[i].First >= f.First {
				size -= old[i].Size
			}
		}
		return max(0, size)
	}
	return 0
}

// OutOfRange is the end of a fetch from an offset that a consumer has named and that is not there any
// more. Start is where the log starts, as the consumer learns it, and goes on.
type OutOfRange struct {
	Consumer      int
	Offset, Start int64
}

func (o OutOfRange) look(s *State) {
	s.counts.OutOfRange++
	c := s.consumers[o.Consumer]
	if o.Offset != c.next || o.Offset >= o.Start {
		s.violated("I9: consumer %d learns at offset %d, want %d, that the log starts at %d", o.Consumer, o.Offset, c.next, o.Start)
	}
	s.isStart(o.Consumer, c, o.Start)
	c.next = o.Start
	s.consumers.put(s, o.Consumer, c)
}

// Overtaken is what a consumer learns of records that were dropped before it has read them: those from
// offset First to offset Last.
type Overtaken struct {
	Consumer    int
	First, Last int64
}

func (o Overtaken) look(s *State) {
	s.counts.ConsumersOvertaken++
	c := s.consumers[o.Consumer]
	if !c.placed {
		c = s.starts(o.Consumer, c, o.First)
	}
	if o.First != c.next {
		s.violated("I9: consumer %d learns that records from offset %d on were dropped, want %d", o.Consumer, o.First, c.next)
	}
	s.isStart(o.Consumer, c, o.Last+1)
	c.next = o.Last + 1
	s.consumers.put(s, o.Consumer, c)
}

// isStart checks that a log start that a consumer learns is that of the log, now or since the consumer
// has sent its request.
func (s *State) isStart(consumer int, c consumed, start int64) {
	if !s.begins[start] || start < c.start || start > s.archived.Start {
		s.violated("I9: consumer %d learns that the log starts at offset %d; it starts at %d, and at %d when the consumer asked", consumer, start, s.archived.Start, c.start)
	}
}
