package core

import (
	"time"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
)

const (
	// smallSegment is the size from which on a segment is not merged any more.
	smallSegment = 16 << 20
	// mergedBytes bounds the size of a segment that others are merged into.
	mergedBytes = 64 << 20
	// mergeGrowth is how many times as large the merged segment is at least as each of the segments
	// that it replaces. It bounds how often a record is copied: see Mergeable.
	mergeGrowth = 4
	// maxMerged bounds the segments that are merged at once, each of which takes a request.
	maxMerged = 64
	// retainedShare is the part of what retention keeps that one merged segment has at most.
	retainedShare = 8
	// mergeWaiting is how many keys may wait for their deletion. With more, nothing is merged.
	mergeWaiting = 1024
)

// Mergeable returns how many of the last segments of a manifest are merged with the segment s, which
// follows them: as many as possible, as long as the result is 4 times as large as the largest of
// them. Segments of 16 MiB and those for which skip returns true are left as they are, with all
// before them.
//
// A record is therefore copied at most once for each power of 4 between the size of the segment that
// it was first in and 16 MiB. Example: a partition gets 1 KiB a second, and a job is due every 10
// minutes. Its segments have 600 KiB, which grow to 2.4, 9.6 and 38 MiB, so each record is written 4
// times. After a year there are 820 segments instead of 52,560. Between the large ones there are at
// most 3 of each size.
//
// Retention drops segments as a whole, so a merged one has at most an eighth of what is kept.
func Mergeable(base *manifest.Manifest, s *segment.Summary, kept messages.Kept, skip func(key string) bool) (n int) {
	total, largest, most, latest := s.Size, int64(0), int64(mergedBytes), manifest.Age(s)
	if kept.Bytes > 0 {
		most = min(most, kept.Bytes/retainedShare)
	}
	for i := range min(len(base.Segments), maxMerged, mergeWaiting-len(base.Waiting)) {
		small := &base.Segments[len(base.Segments)-1-i]
		total += small.Size
		largest, latest = max(largest, small.Size), max(latest, manifest.Age(small))
		// Times that fell within the merged segment would hide the time of its latest record from retention.
		fell := latest > max(small.FirstTime, s.LastTime)
		if fell || !mergesWith(small, s) || total > most || tooLong(small, s, kept.Age) || skip(small.Key) {
			break
		}
		if total >= mergeGrowth*largest {
			n = i + 1
		}
	}
	return n
}

// tooLong reports whether a segment from small up to s would cover too much of the time for which
// records are kept.
func tooLong(small, s *segment.Summary, age time.Duration) bool {
	return age > 0 && s.LastTime-small.FirstTime > age.Nanoseconds()/retainedShare
}

// Mergeable is Mergeable for the segment of the job.
func (p *Plan) Mergeable(base *manifest.Manifest, skip func(key string) bool) (n int, err error) {
	all := base.Segments
	if len(all) == 0 || !mergesWith(&all[len(all)-1], &segment.Summary{Incarnation: p.job.Partition.Incarnation}) {
		return 0, nil // most jobs of a partition with a high rate
	}
	_, s, err := p.Build("")
	if err != nil {
		return 0, err
	}
	return Mergeable(base, &s, p.job.Kept, skip), nil
}

// Merge has the segment of the job begin with the entries of other ones: the last segments of the
// manifest that the job builds on, in their order. It returns false, and changes nothing, if the
// archiver has too little memory for that.
func (p *Plan) Merge(segments []*segment.Whole) bool {
	if p.memory()+mergedMemory(segments) > p.limit {
		return false
	}
	p.merged = segments
	return true
}

// mergedMemory returns the bytes that segments need.
func mergedMemory(segments []*segment.Whole) (bytes int64) {
	for _, w := range segments {
		bytes += w.Size
		for i := range w.Entries {
			bytes += batchMemory * int64(len(w.Entries[i].Entry.Batches))
		}
	}
	return bytes
}

// Manifest returns the manifest that lists the segment of the job instead of those that are merged
// with it. base is the manifest that the job builds on. See manifest.Append about keys and lists.
func (p *Plan) Manifest(base *manifest.Manifest, key string, s segment.Summary, listKey string) (next *manifest.Manifest, full *manifest.List, err error) {
	if n := len(p.merged); n > 0 {
		next, err = base.Merge(key, n, s)
		return next, nil, err
	}
	return base.Append(key, s, listKey)
}

// Result returns the result of the job, whose segment and manifest are stored.
func (p *Plan) Result(s *segment.Summary, h messages.History) Result {
	r := Result{Segment: s.Key, History: h, Records: s.Records, Damaged: s.Damaged, Missing: s.Missing, Bytes: s.Size, Merged: len(p.merged)}
	for _, w := range p.merged {
		r.Records -= w.Records
		r.Damaged -= w.Damaged
		r.Missing -= w.Missing
	}
	return r
}

// mergesWith reports whether a segment may be merged with a later one at all. Within one incarnation
// of a log, each sequence has an entry.
func mergesWith(small, s *segment.Summary) bool {
	return small.Size < smallSegment && small.Incarnation == s.Incarnation
}
