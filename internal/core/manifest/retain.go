package manifest

import (
	"slices"

	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
)

// Retain returns the manifest without the oldest segments that r drops, and with the log start
// offset that results. It drops whole segments, from the oldest one on, and stops at the first one
// that r keeps. The dropped keys, and those of lists that are not needed any more, wait for their
// deletion from then on. The result has the key of m, which does not change.
//
// read returns a list; an error of it is returned. It is called only for lists of which r may drop
// something. If a list is dropped in part, rest is a new list without a key, with its other
// segments. It MUST be stored, and its key set with SetRest, before the manifest is stored.
func (m *Manifest) Retain(r messages.Retention, read func(key string) (*List, error)) (next *Manifest, rest *List, err error) {
	kept := *m
	kept.Waiting = slices.Clip(m.Waiting)
	t := trim{Retention: r, bytes: m.Bytes()}
	for rest == nil && len(kept.Lists) > 0 && t.mayDrop(&kept.Lists[0]) {
		l, err := read(kept.Lists[0].Key)
		if err != nil {
			return nil, nil, err
		}
		n := t.drop(l.Segments)
		if n == 0 {
			break
		}
		kept.Waiting = append(appendKeys(kept.Waiting, l.Segments[:n]), l.Key)
		kept.Lists = slices.Clone(kept.Lists[1:])
		if n < len(l.Segments) {
			rest = &List{Partition: l.Partition, Segments: slices.Clone(l.Segments[n:])}
			kept.Lists = slices.Insert(kept.Lists, 0, segment.Join("", rest.Segments))
		}
	}
	if len(kept.Lists) == 0 {
		n := t.drop(kept.Segments)
		kept.Waiting = appendKeys(kept.Waiting, kept.Segments[:n])
		kept.Segments = slices.Clone(kept.Segments[n:])
	}
	kept.Start = max(m.Start, t.start, min(r.Before, m.End.Offset))
	return &kept, rest, nil
}

// SetRest sets the key under which the rest of a list was stored, see Retain.
func (m *Manifest) SetRest(key string) { m.Lists[0].Key = key }

// trim drops segments from the oldest one on.
type trim struct {
	messages.Retention
	bytes int64 // of all segments that are not dropped
	start int64 // where the last dropped one ends
}

// mayDrop reports whether a segment of a list may have to be dropped.
func (t *trim) mayDrop(list *segment.Summary) bool {
	return t.Before > list.Base || list.FirstTime < t.Cutoff || t.Bytes > 0 && t.bytes > t.Bytes
}

// drop returns how many of the segments are dropped.
func (t *trim) drop(segments []segment.Summary) (n int) {
	for n < len(segments) && t.drops(&segments[n]) {
		t.bytes -= segments[n].Size
		t.start = segments[n].End
		n++
	}
	return n
}

func (t *trim) drops(s *segment.Summary) bool {
	return t.Before > 0 && s.End <= t.Before || Age(s) < t.Cutoff || t.Bytes > 0 && t.bytes-s.Size >= t.Bytes
}

// Age returns the time by which retention takes a segment for too old, in Unix nanoseconds. It is
// that of the last record, unless times fell.
func Age(s *segment.Summary) int64 { return max(s.FirstTime, s.LastTime) }

// Bytes returns the sum of the sizes of all segments.
func (m *Manifest) Bytes() (bytes int64) {
	for i := range m.Lists {
		bytes += m.Lists[i].Size
	}
	for i := range m.Segments {
		bytes += m.Segments[i].Size
	}
	return bytes
}

func appendKeys(keys []string, of []segment.Summary) []string {
	for i := range of {
		keys = append(keys, of[i].Key)
	}
	return keys
}
