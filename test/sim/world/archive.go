package world

import (
	"bytes"
	"fmt"
	"slices"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
	archiver "laneway.dev/services/archiver/core"
)

// Archive is the part of the object store that has segments and manifests, with their bytes.
type Archive struct {
	objects map[string][]byte
	keys    int // that were given out

	// What was decoded of them.
	manifests map[string]*manifest.Manifest
	lists     map[string]*manifest.List
	footers   map[string]*segment.Footer
}

// NewArchive returns an archive without objects.
func NewArchive() *Archive {
	return &Archive{
		objects: map[string][]byte{}, manifests: map[string]*manifest.Manifest{}, lists: map[string]*manifest.List{}, footers: map[string]*segment.Footer{},
	}
}

// Put stores an object.
func (a *Archive) Put(o Object) { a.objects[o.Key] = o.Content }

// Get returns the bytes of an object; nil is none.
func (a *Archive) Get(key string) []byte { return a.objects[key] }

// newKey returns a key for one attempt to store an object of a kind and a generation.
func (a *Archive) newKey(kind string, of uint64) string {
	a.keys++
	return fmt.Sprintf("%s/%016x/%d", kind, max(of, 1), a.keys)
}

// Object is what an archiver stores.
type Object struct {
	Key     string
	Content []byte
}

// Job is the work of an archiver on one job. Its methods are the steps of the shell, in the order
// in which the shell takes them. Anything may happen between two of them. A step that returns an
// error ends the job.
type Job struct {
	By      *Process
	Archive messages.Archive
	Merged  int // segments that the one of the job replaces

	plan    *archiver.Plan
	base    *manifest.Manifest
	segment segment.Summary
	history messages.History
	lowest  uint64 // generation of the objects of the job
}

// NewJob begins a job.
func NewJob(p *Process, a messages.Archive) (*Job, error) {
	plan, err := archiver.NewPlan(a, 1<<30)
	p.Generation = max(p.Generation, a.Generation)
	return &Job{By: p, Archive: a, plan: plan, lowest: p.Generation}, err
}

// ReadLog reads some more entries of the log. It returns true after the last one.
func (w *World) ReadLog(j *Job, limit int) (done bool, err error) {
	from := max(j.plan.Next(), w.Log.First)
	for _, n := range w.Log.Committed[min(from-1, w.Log.Last()):] {
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

// Segment returns the segment of the job, with a new key. Small segments before it are merged into
// it.
func (w *World) Segment(j *Job) (o Object, err error) {
	if j.base == nil {
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

// merge reads the manifest that the job builds on, and the segments that are merged.
func (w *World) merge(j *Job) (err error) {
	var decoded *manifest.Manifest
	if key := j.Archive.Base.Manifest; key != "" {
		if decoded, err = manifest.Decode(key, w.Archive.Get(key)); err != nil {
			return err
		}
	}
	if j.base, err = archiver.Base(j.Archive, decoded); err != nil {
		return err
	}
	n, err := j.plan.Mergeable(j.base, func(string) bool { return false })
	if err != nil {
		return err
	}
	segments := make([]*segment.Whole, n)
	for i, s := range j.base.Segments[len(j.base.Segments)-n:] {
		if segments[i], err = segment.Parse(s.Key, w.Archive.Get(s.Key)); err != nil {
			return err
		}
	}
	j.plan.Merge(segments)
	j.Merged = n
	return nil
}

// Manifest returns the manifest of the job with a new key, and the list to be stored before it; a
// list without a key is none. The segment must be stored.
func (w *World) Manifest(j *Job) (list, o Object, err error) {
	o.Key = w.Archive.newKey("m", j.By.Generation)
	archiver.Leave(j.base, j.base.Waiting)
	next, full, err := j.plan.Manifest(j.base, "", j.segment, o.Key+"-list")
	if err != nil {
		return list, o, err
	}
	if full != nil {
		list = Object{full.Key, manifest.EncodeList(full)}
	}
	o.Content, j.history = archiver.Seal(next, o.Key, segment.Summary{})
	return list, o, nil
}

// Holds reports whether the archive has an object as it was stored.
func (a *Archive) Holds(o Object) bool { return bytes.Equal(a.Get(o.Key), o.Content) }

// Finished returns what the core of the archiver gets in the end. failed is nil if everything is
// stored.
func (j *Job) Finished(failed error) archiver.Finished {
	if failed != nil {
		return archiver.Finished{Job: j.Archive, Failed: failed.Error()}
	}
	result := j.plan.Result(&j.segment, j.history)
	result.Generation = j.lowest
	return archiver.Finished{Job: j.Archive, Result: result}
}
