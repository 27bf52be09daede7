package world

import (
	"fmt"
	"slices"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
	archiver "laneway.dev/services/archiver/core"
)

// Job is the work of an archiver on one job. Its methods are the steps of the shell, in the order
// in which the shell takes them: Base, Leave and Drop; for a job that archives, ReadLog, ReadFrames, Segment, List and
// Retain; and Manifest. Anything may happen between two of them. A step that returns an error ends the
// job. An object without a key is none. Any other one is stored before the next step; if that fails, the
// step is repeated, and returns it with another key.
type Job struct {
	By      *Process
	Archive messages.Archive
	Merged  int // segments that the one of the job replaces
	Cut     int // lists of which it drops a part

	plan    *archiver.Plan
	base    *manifest.Manifest // that the job builds on
	kept    *manifest.Manifest // without what is dropped of it
	listed  *manifest.Manifest // with the segment of the job
	next    *manifest.Manifest // without what is dropped of that
	segment segment.Summary
	history messages.History
	lowest  uint64 // generation of the objects of the job
}

// NewJob begins a job.
func NewJob(p *Process, a messages.Archive) (j *Job, err error) {
	p.Generation = max(p.Generation, a.Generation)
	j = &Job{By: p, Archive: a, lowest: p.Generation}
	if !j.Drops() {
		j.plan, err = archiver.NewPlan(a, 1<<30)
	}
	return j, err
}

// Drops reports whether the job only drops segments, and archives nothing.
func (j *Job) Drops() bool { return archiver.Drops(j.Archive) }

// Base reads the manifest that the job builds on. It returns the keys that wait in it for their
// deletion.
func (w *World) Base(j *Job) (waiting []string, err error) {
	var decoded *manifest.Manifest
	if key := j.Archive.Base.Manifest; key != "" {
		if decoded, err = manifest.Decode(key, w.Archive.Get(key)); err != nil {
			return nil, err
		}
	}
	if j.base, err = archiver.Base(j.Archive, decoded); err != nil {
		return nil, err
	}
	return j.base.Waiting, nil
}

// Leave says which of the keys that have waited are not deleted.
func (j *Job) Leave(left []string) { archiver.Leave(j.base, left) }

// Drop drops segments of the manifest that the job builds on. It returns the rest of a list.
func (w *World) Drop(j *Job) (rest Object, err error) {
	j.kept, rest, err = w.retain(j, j.base)
	j.next = j.kept
	return rest, err
}

// retain drops segments of a manifest.
func (w *World) retain(j *Job, m *manifest.Manifest) (*manifest.Manifest, Object, error) {
	next, rest, err := m.Retain(j.Archive.Retain, w.Archive.list)
	if err != nil || rest == nil {
		return next, Object{}, err
	}
	j.Cut++
	rest.Key = w.Archive.newKey("m", j.By.Generation)
	next.SetRest(rest.Key)
	return next, Object{rest.Key, manifest.EncodeList(rest)}, nil
}

// ReadLog reads some more entries of the log. It returns true after the last one.
func (w *World) ReadLog(j *Job, limit int) (done bool, err error) {
	log := &w.PartitionOf(j.Archive.Partition).Log
	from := max(j.plan.Next(), log.First)
	for _, n := range log.Committed[min(from-1, log.Last()):] {
		if j.plan.Next() > j.Archive.To.Sequence || limit == 0 {
			break
		}
		limit--
		if err := j.plan.Add(n.Entry); err != nil {
			return false, err
		}
	}
	if j.plan.Next() <= j.Archive.To.Sequence && limit > 0 {
		return true, j.plan.Complete() // the log has no more
	}
	return j.plan.Next() > j.Archive.To.Sequence, nil
}

// ReadFrames reads the frames of the job. read returns the frame of an extent; nil means that it
// cannot be read.
func (j *Job) ReadFrames(read func(messages.Extent) []byte) error {
	if err := j.plan.Complete(); err != nil {
		return err
	}
	for _, r := range j.plan.Reads() {
		for _, ref := range r.Batches {
			x := j.plan.Extent(ref)
			frame := read(x)
			if frame == nil && !j.Archive.GiveUp {
				return fmt.Errorf("a batch in %s cannot be read", x.Key)
			}
			j.plan.Frame(ref, frame)
		}
	}
	return nil
}

// Segment returns the segment of the job. Small segments before it are merged into it.
func (w *World) Segment(j *Job) (o Object, err error) {
	if j.segment.Key == "" {
		if err := w.merge(j); err != nil {
			return o, err
		}
	}
	o.Key = w.Archive.newKey("s", j.By.Generation)
	parts, summary, err := j.plan.Build(o.Key)
	j.segment = summary
	o.Content = slices.Concat(parts...)
	return o, err
}

// merge reads the segments that are merged.
func (w *World) merge(j *Job) error {
	n, err := j.plan.Mergeable(j.kept, func(string) bool { return false })
	if err != nil {
		return err
	}
	segments := make([]*segment.Whole, n)
	for i, s := range j.kept.Segments[len(j.kept.Segments)-n:] {
		if segments[i], err = segment.Parse(s.Key, w.Archive.Get(s.Key)); err != nil {
			return err
		}
	}
	j.plan.Merge(segments)
	j.Merged = n
	return nil
}

// List adds the segment of the job to the manifest. It returns a list of the oldest ones, if the
// manifest has too many.
func (w *World) List(j *Job) (list Object, err error) {
	key := w.Archive.newKey("m", j.By.Generation)
	next, full, err := j.plan.Manifest(j.kept, "", j.segment, key)
	if err != nil {
		return list, err
	}
	if n := len(next.Segments); full == nil && w.Archive.Most > 0 && n > w.Archive.Most {
		next, full = next.Fold((n+1)/2, key)
	}
	if j.listed = next; full != nil {
		list = Object{full.Key, manifest.EncodeList(full)}
	}
	return list, nil
}

// Retain drops segments once that of the job is listed. It returns the rest of a list.
func (w *World) Retain(j *Job) (rest Object, err error) {
	j.next, rest, err = w.retain(j, j.listed)
	return rest, err
}

// Manifest returns the manifest of the job.
func (w *World) Manifest(j *Job) (o Object, err error) {
	oldest, err := archiver.Oldest(j.Archive, j.base, j.next, w.Archive.list)
	if err != nil {
		return o, err
	}
	o.Key = w.Archive.newKey("m", j.By.Generation)
	o.Content, j.history = archiver.Seal(j.next, o.Key, oldest)
	return o, nil
}

// Finished returns what the core of the archiver gets in the end. failed is nil if everything is
// stored.
func (j *Job) Finished(failed error) archiver.Finished {
	if failed != nil {
		return archiver.Finished{Job: j.Archive, Failed: failed.Error()}
	}
	result := archiver.Result{History: j.history}
	if !j.Drops() {
		result = j.plan.Result(&j.segment, j.history)
	}
	result.Generation = j.lowest
	return archiver.Finished{Job: j.Archive, Result: result}
}
