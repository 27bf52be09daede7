package partition

import (
	"slices"

	"laneway.dev/pkg/messages"
)

// A run ends when it has this many bytes of payload, bytes in the log, or entries.
const (
	runPayload  = 1 << 20
	runLogBytes = 256 << 10
	runEntries  = 1 << 10
)

// maxRuns is the number of runs above which small neighbors are joined.
const maxRuns = 4096

// jobLimits bound the entries of one job, so that an archiver can hold them in memory. A
// single run may exceed them.
type jobLimits struct{ payload, logBytes, batches int64 }

// fit reports whether the entries of a run are within the limits.
func (l jobLimits) fit(r messages.Run) bool {
	return r.Payload <= l.payload && r.LogBytes <= l.logBytes && r.Batches <= l.batches
}

// runs are the entries of a log after its archived end, in their order. Each run follows the
// one before it. Their number is bounded as long as their entries are: two neighbors are left
// apart only if together they exceed the limits of a job.
type runs struct {
	list []messages.Run
	sum  messages.Run // of Payload, LogBytes and Batches
}

// with returns the run of two neighbors. Its age is that of its first batch: entries without
// batches may wait for as long as they like.
func with(r, next messages.Run) messages.Run {
	if r.Batches == 0 && next.Batches > 0 {
		r.Since = next.Since
	}
	r.End = next.End
	r.Payload += next.Payload
	r.LogBytes += next.LogBytes
	r.Batches += next.Batches
	r.Generation = min(r.Generation, next.Generation)
	return r
}

func (r *runs) addSum(e messages.Run, sign int64) {
	r.sum.Payload += sign * e.Payload
	r.sum.LogBytes += sign * e.LogBytes
	r.sum.Batches += sign * e.Batches
}

// add adds an entry, as a run of one. archived is the end of the history, and job that of the
// job that is open; the zero Position if none is.
func (r *runs) add(e messages.Run, archived, job messages.Position, limits jobLimits) {
	r.addSum(e, 1)
	n := len(r.list)
	if n == 0 || r.full(archived) || r.list[n-1].End == job {
		r.list = append(r.list, e)
		if n >= maxRuns {
			r.join(job, limits)
		}
		return
	}
	r.list[n-1] = with(r.list[n-1], e)
}

// full reports whether the last run takes no more entries.
func (r *runs) full(archived messages.Position) bool {
	last, before := r.list[len(r.list)-1], archived.Sequence
	if n := len(r.list); n > 1 {
		before = r.list[n-2].End.Sequence
	}
	return last.Payload >= runPayload || last.LogBytes >= runLogBytes || last.End.Sequence-before >= runEntries
}

// join joins neighbors that are within the limits together. Runs in a job are not joined with
// those after it.
func (r *runs) join(job messages.Position, limits jobLimits) {
	joined := r.list[:1]
	for _, next := range r.list[1:] {
		last := &joined[len(joined)-1]
		if together := with(*last, next); last.End != job && limits.fit(together) {
			*last = together
			continue
		}
		joined = append(joined, next)
	}
	r.list = joined
}

// drop removes the runs up to an archived end, and returns their sum. A run that goes beyond
// the end stays whole: an owner that has read the log does not know where the runs of an
// earlier owner ended. It counts too much then, so that a job is due too early.
func (r *runs) drop(archived messages.Position) (dropped messages.Run) {
	n := 0
	for n < len(r.list) && r.list[n].End.Sequence <= archived.Sequence {
		dropped = with(dropped, r.list[n])
		n++
	}
	r.addSum(dropped, -1)
	r.list = slices.Delete(r.list, 0, n)
	return dropped
}

// oldest returns the first run with batches.
func (r *runs) oldest() (messages.Run, bool) {
	i := slices.IndexFunc(r.list, func(r messages.Run) bool { return r.Batches > 0 })
	if i < 0 {
		return messages.Run{}, false
	}
	return r.list[i], true
}

// generation returns the lowest generation of the objects that the entries after an archived end
// refer to.
func (r *runs) generation(archived messages.Position) uint64 {
	lowest := uint64(messages.NoGeneration)
	for i := range r.list {
		if r.list[i].End.Sequence > archived.Sequence {
			lowest = min(lowest, r.list[i].Generation)
		}
	}
	return lowest
}

// first returns the longest series of runs from the first one on that is within the limits;
// at least one run.
func (r *runs) first(limits jobLimits) messages.Run {
	series := r.list[0]
	for _, next := range r.list[1:] {
		longer := with(series, next)
		if !limits.fit(longer) {
			break
		}
		series = longer
	}
	return series
}

// restore takes the runs of a snapshot.
func (r *runs) restore(list []messages.Run) {
	*r = runs{list: slices.Clone(list)}
	for _, e := range list {
		r.addSum(e, 1)
	}
}

// Approximate bytes of an entry in the log, apart from its strings: of its head, of a batch,
// and of a producer sequence.
const (
	entryHeadBytes     = 34
	entryBatchBytes    = 20
	entrySequenceBytes = 12
)

// measure returns an entry as a run of one, without its end. logBytes is its length in the
// log; 0 if that is to be estimated.
func measure(n *messages.Entry, logBytes int64) messages.Run {
	e := messages.Run{Since: n.Time, LogBytes: logBytes, Batches: int64(len(n.Batches)), Generation: messages.NoGeneration}
	estimate := int64(entryHeadBytes+len(n.Owner)+len(n.History.Manifest)) + entryBatchBytes*int64(len(n.Batches)+len(n.Fences)+len(n.Refused))
	lane, key := "", "" // of the batch before
	for i := range n.Batches {
		b := &n.Batches[i]
		e.Payload += b.Extent.FrameLength()
		e.Generation = min(e.Generation, Generation(b.Extent))
		estimate += int64(len(b.MessageID) + len(b.Inline))
		if b.Sequence.ProducerID != 0 {
			estimate += entrySequenceBytes
		}
		if b.Lane != lane { // strings are written once
			estimate += int64(len(b.Lane))
		}
		if b.Extent.Key != key {
			estimate += int64(len(b.Extent.Key))
		}
		lane, key = b.Lane, b.Extent.Key
	}
	if logBytes == 0 {
		e.LogBytes = estimate
	}
	return e
}
