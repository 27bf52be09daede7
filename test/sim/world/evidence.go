package world

import (
	"cmp"
	"fmt"
	"slices"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	replicator "laneway.dev/services/replicator/core"
	stager "laneway.dev/services/stager/core"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/describe"
)

// Evidence is what is kept of the log outside of it.
type Evidence struct {
	Mark   replicator.FoundMark
	Newest *messages.Snapshot // of those that were stored

	snapshots []*Kept // newest first
	lost      []*Kept // until they are restored
}

// Kept is a snapshot that is stored.
type Kept struct {
	Sequence uint64
	data     []byte
	proven   bool // it was read back
}

// NewEvidence returns the evidence that creation writes.
func NewEvidence() *Evidence {
	first := messages.Position{Sequence: 1}
	return &Evidence{
		Mark: replicator.FoundMark{Mark: messages.Mark{Owner: "creation", Written: first, Reserved: first}, Revision: 1, Exists: true},
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

// Store stores a snapshot, of which data is the encoded form, perhaps damaged.
func (e *Evidence) Store(sequence uint64, data []byte) *Kept {
	k := &Kept{Sequence: sequence, data: data}
	e.snapshots = append(e.snapshots, k)
	slices.SortStableFunc(e.snapshots, func(a, b *Kept) int { return cmp.Compare(b.Sequence, a.Sequence) })
	return k
}

// Proven is a snapshot that was read back as it was stored. Those that its owner does not keep are
// removed then.
func (w *World) Proven(k *Kept, s *replicator.Save) {
	e := w.Evidence
	k.proven = true
	if e.Newest == nil || s.Sequence >= e.Newest.Sequence {
		e.Newest = &s.Snapshot
	}
	e.snapshots = slices.DeleteFunc(e.snapshots, func(o *Kept) bool { return o.Sequence < s.Keep })
	w.snapshotsStay()
	w.See(check.CoversOf(&s.Snapshot))
}

// Damage damages a snapshot that was read back. It returns false if the log needs the snapshot,
// because no other one can be read.
func (w *World) Damage(k *Kept, data []byte) bool {
	others := slices.ContainsFunc(w.Evidence.snapshots, func(o *Kept) bool { return o != k && o.readable(w.Log.First) })
	if w.Archive != nil && !others {
		return false
	}
	k.data = data
	return true
}

// readable reports whether the log can be read with the snapshot.
func (k *Kept) readable(first uint64) bool {
	_, err := messages.DecodeSnapshot(k.data)
	return err == nil && k.Sequence >= first
}

// snapshotsStay checks that the log, once it was purged, has what two snapshots need that were
// read back.
func (w *World) snapshotsStay() {
	if w.Log.First == 1 || w.Evidence == nil {
		return
	}
	good := 0
	for _, k := range slices.Concat(w.Evidence.snapshots, w.Evidence.lost) {
		if k.proven && k.Sequence >= w.Log.First {
			good++
		}
	}
	if good < 2 {
		w.Violated("archive: the log begins with entry %d, and only %d snapshots that were read back are that new", w.Log.First, good)
	}
}

// Lose loses all snapshots until Restore.
func (e *Evidence) Lose() { e.lost, e.snapshots = append(e.lost, e.snapshots...), nil }

// Restore brings back the snapshots that were lost.
func (e *Evidence) Restore() {
	e.snapshots, e.lost = append(e.snapshots, e.lost...), nil
	slices.SortStableFunc(e.snapshots, func(a, b *Kept) int { return cmp.Compare(b.Sequence, a.Sequence) })
}

// Unfounded reports whether a replicator has found no snapshot from which it can read the log. It
// must call the log damaged then.
func (p *Process) Unfounded() bool { return p.unfounded }

// Nothing is what a replicator gets when it looks for snapshots and the mark in a world
// without them.
type Nothing struct{}

// Loaded returns what a replicator finds that looks for snapshots and the mark: the newest snapshot
// that can be read.
func (w *World) Loaded(p *Process) Event {
	if w.Evidence == nil {
		return Nothing{}
	}
	loaded := replicator.Loaded{Mark: w.Evidence.Mark}
	p.unfounded = w.Log.First > 1
	for _, k := range w.Evidence.snapshots {
		if s, err := messages.DecodeSnapshot(k.data); err == nil {
			loaded.Snapshots = append(loaded.Snapshots, s)
			k.proven = true
			p.unfounded = p.unfounded && k.Sequence < w.Log.First
			break
		}
	}
	p.excused = p.excused || p.unfounded
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

// Stored makes an object of a generation durable, and returns what its stager gets. In a world
// without generations it is 0.
func (w *World) Stored(o *stager.Object, of uint64) stager.Uploaded {
	w.Objects++
	key := fmt.Sprint("object-", w.Objects)
	if of > 0 {
		key = fmt.Sprintf("o/%016x/%d", of, w.Objects)
	}
	w.PutBatches(key, o.Bytes)
	done := stager.Uploaded{Object: o, Size: o.Bytes}
	for i := range o.Batches {
		payload := o.Batches[i].Payload
		x := messages.Extent{Key: key, Offset: int64(i), Length: int64(len(payload)), CRC: objectstore.Checksum(payload)}
		done.Extents = append(done.Extents, x)
		w.See(check.Stored{Extent: x, Batch: check.ReadBatch(payload)})
	}
	return done
}
