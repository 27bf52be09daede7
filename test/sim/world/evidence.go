package world

import (
	"fmt"
	"maps"
	"slices"

	"laneway.dev/pkg/messages"
	replicator "laneway.dev/services/replicator/core"
	stager "laneway.dev/services/stager/core"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/describe"
)

// Evidence is what is kept of the log outside of it.
type Evidence struct {
	Mark      replicator.FoundMark
	Newest    *messages.Snapshot // of those that were stored
	snapshots map[uint64][]byte  // encoded, the last two
}

// NewEvidence returns the evidence that creation writes.
func NewEvidence() *Evidence {
	first := messages.Position{Sequence: 1}
	return &Evidence{
		Mark:      replicator.FoundMark{Mark: messages.Mark{Owner: "creation", Written: first, Reserved: first}, Revision: 1, Exists: true},
		snapshots: map[uint64][]byte{},
	}
}

// WriteMark writes a mark by compare-and-set, and returns what the replicator gets.
func (e *Evidence) WriteMark(m replicator.WriteMark) (_ Event, written bool) {
	if m.Revision != e.Mark.Revision {
		return replicator.MarkConflict{Mark: m.Mark, Found: e.Mark}, false
	}
	e.Mark = replicator.FoundMark{Mark: m.Mark, Revision: m.Revision + 1, Exists: true}
	return replicator.MarkWritten{Mark: m.Mark, Revision: e.Mark.Revision}, true
}

// SaveSnapshot stores a snapshot, of which data is the encoded form, perhaps damaged.
func (e *Evidence) SaveSnapshot(s *messages.Snapshot, data []byte) {
	if e.Newest == nil || s.Sequence >= e.Newest.Sequence {
		e.Newest = s
	}
	e.snapshots[s.Sequence] = data
	for len(e.snapshots) > 2 {
		delete(e.snapshots, slices.Min(slices.Collect(maps.Keys(e.snapshots))))
	}
}

// Nothing is what a replicator gets when it looks for snapshots and the mark in a world
// without them.
type Nothing struct{}

// Loaded returns what a replicator finds that looks for snapshots and the mark.
func (w *World) Loaded() Event {
	if w.Evidence == nil {
		return Nothing{}
	}
	loaded := replicator.Loaded{Mark: w.Evidence.Mark}
	kept := w.Evidence.snapshots
	for _, sequence := range slices.Backward(slices.Sorted(maps.Keys(kept))) {
		if s, err := messages.DecodeSnapshot(kept[sequence]); err == nil {
			loaded.Snapshots = append(loaded.Snapshots, s)
		}
	}
	return loaded
}

// committed checks an entry that was added to the log.
func (w *World) committed(n *Node) {
	if w.Tracing {
		w.Say("  entry %d of %s is in the log: %s", n.Entry.Sequence, n.By, describe.Entry(&n.Entry.Entry))
	}
	if w.Evidence != nil {
		end := messages.Position{Sequence: n.Entry.Sequence, Offset: n.Entry.Entry.NextOffset()}
		if reserved := w.Evidence.Mark.Mark.Reserved; !reserved.Covers(end) {
			w.Violated("mark: entry %d ends at offset %d, reserved is %+v", end.Sequence, end.Offset, reserved)
		}
	}
	w.See(check.Committed{Entry: &n.Entry, By: n.By})
}

// Stored makes an object durable, and returns what its stager gets.
func (w *World) Stored(o *stager.Object) stager.Uploaded {
	w.Objects++
	done := stager.Uploaded{Object: o, Size: o.Bytes}
	for i := range o.Batches {
		x := messages.Extent{Key: fmt.Sprint("object-", w.Objects), Offset: int64(i), Length: int64(len(o.Batches[i].Payload)), CRC: 1}
		done.Extents = append(done.Extents, x)
		w.See(check.Stored{Extent: x, Batch: check.ReadBatch(o.Batches[i].Payload)})
	}
	return done
}
