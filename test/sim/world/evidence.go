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

// Evidence is what is kept of a log outside of it.
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
	e := new(Evidence)
	e.created()
	return e
}

// created adds the mark that creation writes after the first entry of a log, unless its owner was faster.
func (e *Evidence) created() {
	if first := (messages.Position{Sequence: 1}); !e.Mark.Exists {
		e.Mark = replicator.FoundMark{Mark: messages.Mark{Owner: "creation", Written: first, Reserved: first}, Revision: 1, Exists: true}
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
func (w *World) Proven(of *Partition, k *Kept, s *replicator.Save) {
	e := of.Evidence
	k.proven = true
	if e.Newest == nil || s.Sequence >= e.Newest.Sequence {
		e.Newest = &s.Snapshot
	}
	e.snapshots = slices.DeleteFunc(e.snapshots, func(o *Kept) bool { return o.Sequence < s.Keep })
	w.snapshotsStay(of)
	w.See(of.Index, check.CoversOf(&s.Snapshot))
}

// Damage damages a snapshot that was read back. It returns false if the log needs the snapshot,
// because no other one can be read.
func (w *World) Damage(of *Partition, k *Kept, data []byte) bool {
	others := slices.ContainsFunc(of.Evidence.snapshots, func(o *Kept) bool { return o != k && o.readable(of.Log.First) })
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
func (w *World) snapshotsStay(of *Partition) {
	if of.Log.First == 1 || of.Evidence == nil {
		return
	}
	good := 0
	for _, k := range slices.Concat(of.Evidence.snapshots, of.Evidence.lost) {
		if k.proven && k.Sequence >= of.Log.First {
			good++
		}
	}
	if good < 2 {
		w.violated(of, "archive: the log begins with entry %d, and only %d snapshots that were read back are that new", of.Log.First, good)
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
func (p *Process) Unfounded(of *Partition) bool { return p.Shares[of.Index].unfounded }

// Nothing is what a replicator gets when it looks for snapshots and the mark in a world
// without them.
type Nothing struct{}

// Loaded returns what a replicator finds that looks for snapshots and the mark: the newest snapshot
// that can be read.
func (p *Process) Loaded(of *Partition) Event {
	if of.Evidence == nil {
		return Nothing{}
	}
	share := &p.Shares[of.Index]
	loaded := replicator.Loaded{Mark: of.Evidence.Mark}
	share.unbegun = !loaded.Mark.Exists
	share.unfounded = of.Log.First > 1
	for _, k := range of.Evidence.snapshots {
		if s, err := messages.DecodeSnapshot(k.data); err == nil {
			loaded.Snapshots = append(loaded.Snapshots, s)
			k.proven = true
			share.unfounded = share.unfounded && k.Sequence < of.Log.First
			break
		}
	}
	share.excused = share.excused || share.unfounded
	return loaded
}

// committed checks an entry that was added to the log.
func (w *World) committed(of *Partition, n *Node) {
	if w.Tracing {
		w.SayOf(of, "  entry %d of %s is in the log: %s", n.Entry.Sequence, n.By, describe.Entry(&n.Entry.Entry))
	}
	if of.Evidence != nil {
		end := messages.Position{Sequence: n.Entry.Sequence, Offset: n.Entry.Entry.NextOffset()}
		if reserved := of.Evidence.Mark.Mark.Reserved; !reserved.Covers(end) {
			w.violated(of, "mark: entry %d ends at offset %d, reserved is %+v", end.Sequence, end.Offset, reserved)
		}
	}
	w.See(of.Index, check.Committed{Entry: &n.Entry, By: n.By})
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
		w.See(indexOf(w.ids, o.Batches[i].Partition), check.Stored{Extent: x, Batch: check.ReadBatch(payload)})
	}
	return done
}
