package repair

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/snapshots"
	"laneway.dev/pkg/messages"
)

// archivedWorld is a topic in the registry. The log of its first partition had the entries 2 to 9
// with 2 records each. The entries up to 7 are archived, and those up to 4 are purged. Entry 10
// says so, and snapshots cover the entries up to 5 and 6.
func archivedWorld(t *testing.T) *world {
	t.Helper()
	w, _ := damagedWorld(t)
	for number := range uint64(4) {
		w.commit(0, w.stage(w.batch(0, "a", number+5))...)
	}
	w.save(0, 5)
	w.history[0] = w.archive(0, messages.History{}, 7)
	w.append(0, messages.Entry{Epoch: 5})
	w.save(0, 6)
	w.purge(0, 5)
	w.setMark(messages.Mark{Written: messages.Position{Sequence: 10, Offset: 16}, Reserved: messages.Position{Sequence: 50, Offset: 500}})
	return w
}

// log returns the entries of the stream of a partition.
func (w *world) log(n int) (all []messages.LoggedEntry) {
	w.t.Helper()
	log := partitionlog.New(w.conn, w.js, w.now().Partition(n))
	bounds, err := log.Bounds(w.ctx)
	w.must(err)
	w.must(log.Walk(w.ctx, bounds.First, bounds.Last, func(e messages.LoggedEntry) error {
		all = append(all, e)
		return nil
	}, func(partitionlog.Missing) error { return nil }))
	return all
}

// newSnapshot returns the newest snapshot of a log.
func (w *world) newSnapshot(n int) (newest *messages.Snapshot) {
	w.t.Helper()
	store, err := snapshots.Open(w.ctx, w.conn, w.js)
	w.must(err)
	w.must(store.Load(w.ctx, w.now().Partition(n), func(data []byte) bool {
		s, err := messages.DecodeSnapshot(data)
		w.must(err)
		newest = &s
		return true
	}))
	return newest
}

// producers returns the ids of the producers of a snapshot.
func producers(s *messages.Snapshot) (ids []int64) {
	for i := range s.Producers {
		ids = append(ids, s.Producers[i].ProducerID)
	}
	return ids
}

// contains reports whether one of the findings contains a text.
func contains(findings []string, text string) bool {
	return slices.ContainsFunc(findings, func(f string) bool { return strings.Contains(f, text) })
}

func TestWhatIsArchivedIsNotMissing(t *testing.T) {
	w := archivedWorld(t)
	survey := w.inspect(0, 1)
	p := survey.Report.Partitions[0]
	if len(p.Findings) > 0 || len(p.Unknown) > 0 || len(p.Log.Holes) > 0 || p.Log.Entries != 6 {
		t.Errorf("the report is %+v", p)
	}
	if h := p.History; h == nil || h.Manifest != w.history[0].Manifest || h.EndSequence != 7 || h.EndOffset != 12 || h.Found {
		t.Errorf("the history is %+v", h)
	}
	if len(p.Lanes) != 0 || p.Copies != 3 {
		t.Errorf("lanes %+v and %d copies, want the 3 batches of purged entries", p.Lanes, p.Copies)
	}
	if other := survey.Report.Partitions[1]; other.History != nil || len(other.Findings) > 0 {
		t.Errorf("partition 1: %+v", other)
	}
}

func TestWhatIsNotArchivedIsMissing(t *testing.T) {
	w := archivedWorld(t)
	w.lose(0, 8)
	survey := w.inspect(0)
	p := survey.Report.Partitions[0]
	if got := fmt.Sprint(p.Unknown); got != "[offsets 12 to 13]" || len(p.Findings) != 1 || !contains(p.Findings, "sequence 8, offsets 12 to 13: JetStream has lost it") {
		t.Errorf("unknown are %s, findings %q", got, p.Findings)
	}
	if lines, _ := w.export(survey); tickets(lines) != "0:a7" {
		t.Errorf("exported are %q", tickets(lines))
	}
}

func TestALostBatchWithThePayloadOfAnArchivedOneIsExported(t *testing.T) {
	w := archivedWorld(t)
	same := func(number uint64) func(*objectstore.Batch) {
		return func(b *objectstore.Batch) { b.Payload = w.batch(0, "a", number).Payload }
	}
	w.lose(0, w.commit(0, w.stage(w.batch(0, "b", 1, same(2)))...)) // that of a purged entry
	w.lose(0, w.commit(0, w.stage(w.batch(0, "b", 2, same(5)))...)) // and of one that is still in the stream
	w.append(0, messages.Entry{Epoch: 5})
	w.stage(w.batch(0, "a", 2)) // staged twice
	if lines, _ := w.export(w.inspect(0)); tickets(lines) != "0:b1 0:b2" {
		t.Errorf("exported are %q", tickets(lines))
	}
}

func TestArchivedEntriesThatAnOwnerNeedsAreMissing(t *testing.T) {
	w := archivedWorld(t)
	w.lose(0, 7)
	p := w.inspect(0).Report.Partitions[0]
	if len(p.Unknown) != 0 || len(p.Findings) != 1 || !contains(p.Findings, "its records are archived") {
		t.Errorf("unknown are %v, findings %q", p.Unknown, p.Findings)
	}
	got, err := w.accept(w.ctx)
	w.must(err)
	if len(got.GivenUp) != 1 || got.GivenUp[0].String() != "offsets 16 to 499" || got.StateLost {
		t.Errorf("accepted is %+v", got)
	}
	w.wantWhole()
}

func TestContinuationBeginsBehindTheHistory(t *testing.T) {
	w := archivedWorld(t)
	last := w.log(0)[2] // entry 7
	w.lose(0, 10)
	got, err := w.accept(w.ctx)
	w.must(err)
	if got.FirstSequence != 51 || got.NextOffset != 500 || got.Copied != 2 || len(got.GivenUp) != 1 || got.GivenUp[0].String() != "offsets 16 to 499" {
		t.Errorf("accepted is %+v", got)
	}
	log := w.log(0)
	if first := log[0]; first.Sequence != 51 || !first.Entry.Created || first.Entry.BaseOffset != 12 || first.Entry.Gap != 0 || first.Entry.Time != last.Entry.Time {
		t.Errorf("the first entry is %+v, the last archived one %+v", first, last)
	}
	for _, e := range log {
		if e.Entry.History != w.history[0] {
			t.Errorf("entry %d has the history %+v", e.Sequence, e.Entry.History)
		}
	}
	s := w.newSnapshot(0)
	if s.Sequence != 51 || s.NextOffset != 12 || s.Time != log[0].Entry.Time || s.History != w.history[0] || len(s.Runs) != 1 || s.Runs[0].End != (messages.Position{Sequence: 51, Offset: 12}) {
		t.Errorf("the snapshot is %+v", s)
	}
	if got := fmt.Sprint(producers(s)); got != "[1006 7]" {
		t.Errorf("the state is that of %s, want the snapshot of entry 6 and entry 7", got)
	}
	report := w.wantWhole()
	if p := report.Partitions[0]; p.Log.Entries != 4 || p.Log.FirstOffset != 0 || len(p.Lanes) != 0 {
		t.Errorf("partition 0 is %+v", p)
	}
}

func TestSnapshotBehindTheHistoryCoversItsEntryInTheNewStream(t *testing.T) {
	w := archivedWorld(t)
	w.save(0, 9)
	w.lose(0, 10)
	_, err := w.accept(w.ctx)
	w.must(err)
	s, log := w.newSnapshot(0), w.log(0)
	if s.Sequence != 53 || s.NextOffset != 16 || s.Time != log[2].Entry.Time || fmt.Sprint(producers(s)) != "[1009]" {
		t.Errorf("the snapshot is %+v", s)
	}
	if run := s.Runs[0]; len(s.Runs) != 1 || run.End != (messages.Position{Sequence: 53, Offset: 16}) || run.Batches != 2 || run.Payload == 0 || run.LogBytes == 0 || run.Since != log[1].Entry.Time {
		t.Errorf("the runs are %+v", s.Runs)
	}
	w.wantWhole()
}

func TestPurgedLogWithoutSnapshotsHasLostItsState(t *testing.T) {
	w := archivedWorld(t)
	w.must(snapshots.Delete(w.ctx, w.js, w.topic.ID))
	p := w.inspect(0).Report.Partitions[0]
	if len(p.Unknown) != 0 || len(p.Findings) != 1 || !contains(p.Findings, "its first entry that can be read is 5, and none of its snapshots can be read: the records are not affected") {
		t.Errorf("unknown are %v, findings %q", p.Unknown, p.Findings)
	}
	got, err := w.accept(w.ctx)
	w.must(err)
	if !got.StateLost || got.NextOffset != 500 || got.Copied != 3 || len(got.GivenUp) != 1 || got.GivenUp[0].String() != "offsets 16 to 499" {
		t.Errorf("accepted is %+v", got)
	}
	if s := w.newSnapshot(0); s.NextOffset != 12 || fmt.Sprint(producers(s)) != "[5 6 7]" {
		t.Errorf("the snapshot is %+v, want one of the archived entries that are left", s)
	}
	w.wantWhole()
}

func TestSnapshotThatContradictsAnArchivedEntryIsNotUsed(t *testing.T) {
	w := archivedWorld(t)
	w.must(snapshots.Delete(w.ctx, w.js, w.topic.ID))
	w.saveAt(0, 6, messages.Entry{BaseOffset: 9, Time: 1})
	w.lose(0, 10)
	_, err := w.accept(w.ctx)
	w.must(err)
	if got := fmt.Sprint(producers(w.newSnapshot(0))); got != "[6 7]" {
		t.Errorf("the state is that of %s, want that of the entries 6 and 7", got)
	}
	w.wantWhole()
}

func TestLogContinuesAboveItsHistory(t *testing.T) {
	w := archivedWorld(t)
	w.must(snapshots.Delete(w.ctx, w.js, w.topic.ID))
	w.damage(0).LoseStream()
	w.setMark(messages.Mark{Written: messages.Position{Sequence: 3, Offset: 4}, Reserved: messages.Position{Sequence: 4, Offset: 6}}) // an old one
	got, err := w.accept(w.ctx)
	w.must(err)
	if got.FirstSequence < 1<<40 || got.NextOffset < 1<<40 || !got.StateLost {
		t.Errorf("accepted is %+v", got)
	}
	if first := w.log(0)[0].Entry; first.BaseOffset != 12 || first.History != w.history[0] {
		t.Errorf("the first entry is %+v", first)
	}
	w.wantWhole()
}

func TestLogWithItsBeginningNeedsNoSnapshot(t *testing.T) {
	w, _ := damagedWorld(t)
	w.history[0] = w.archive(0, messages.History{}, 3)
	w.append(0, messages.Entry{Epoch: 5})
	got, err := w.accept(w.ctx) // although nothing is missing
	w.must(err)
	if got.StateLost || got.Copied != 3 {
		t.Errorf("accepted is %+v", got)
	}
	if s := w.newSnapshot(0); s.NextOffset != 4 || fmt.Sprint(producers(s)) != "[1 2 3]" {
		t.Errorf("the snapshot is %+v", s)
	}
	w.wantWhole()
}

func TestNewestManifestIsUsedIfNoEntryNamesIt(t *testing.T) {
	for name, whole := range map[string]bool{"a part of the stream is left": false, "nothing of the stream is left": true} {
		t.Run(name, func(t *testing.T) {
			w := archivedWorld(t)
			newest := w.archive(0, w.history[0], 9)
			if whole {
				w.damage(0).LoseStream()
			} else {
				for sequence := uint64(8); sequence <= 10; sequence++ {
					w.lose(0, sequence)
				}
			}
			survey := w.inspect(0)
			p := survey.Report.Partitions[0]
			if h := p.History; h == nil || h.Manifest != newest.Manifest || h.EndOffset != 16 || !h.Found || !contains(p.Findings, newest.Manifest) {
				t.Errorf("the history is %+v, findings %q", h, p.Findings)
			}
			if got := fmt.Sprint(p.Unknown); got != "[offsets 16 to 499]" {
				t.Errorf("unknown are %s", got)
			}
			if lines, _ := w.export(survey); len(lines) != 0 {
				t.Errorf("exported are %q", tickets(lines))
			}
			got, err := w.accept(w.ctx)
			w.must(err)
			if got.Copied != 0 || got.NextOffset != 500 || len(got.GivenUp) != 1 || got.GivenUp[0].String() != "offsets 16 to 499" {
				t.Errorf("accepted is %+v", got)
			}
			if first := w.log(0)[0].Entry; first.History != newest || first.BaseOffset != 16 {
				t.Errorf("the first entry is %+v", first)
			}
			w.wantWhole()
		})
	}
}

func TestManifestOfAnEarlierIncarnationIsNotUsed(t *testing.T) {
	w := archivedWorld(t)
	before := w.history[0]
	late := w.archive(0, before, 9) // the result of a job that was lost
	w.hide(late.Manifest, true)
	for sequence := uint64(8); sequence <= 10; sequence++ {
		w.lose(0, sequence)
	}
	got, err := w.accept(w.ctx)
	w.must(err)
	if len(got.GivenUp) != 1 || got.GivenUp[0].String() != "offsets 12 to 499" {
		t.Fatalf("accepted is %+v", got)
	}
	w.hide(late.Manifest, false)
	w.topic = w.now()
	w.last[0], w.next[0] = got.NextSequence-1, got.NextOffset
	w.commit(0, w.stage(w.batch(0, "z", 1))...)
	reserved := messages.Position{Sequence: w.last[0], Offset: w.next[0]}
	w.setMark(messages.Mark{Owner: "r", Written: messages.Position{Sequence: w.last[0] - 1, Offset: 500}, Reserved: reserved})
	w.lose(0, w.last[0])
	p := w.inspect(0).Report.Partitions[0]
	if p.History == nil || p.History.Manifest != before.Manifest || p.History.Found || fmt.Sprint(p.Unknown) != "[offsets from 500 on]" {
		t.Errorf("the report is %+v", p)
	}
}

// hide takes an object away, or puts it back.
func (w *world) hide(key string, hidden bool) {
	w.t.Helper()
	path := filepath.Join(w.folder, filepath.FromSlash(key))
	away := filepath.Join(w.folder, "away")
	if hidden {
		w.must(os.Rename(path, away))
	} else {
		w.must(os.Rename(away, path))
	}
}

func TestManifestWithADamagedSegmentIsNotUsed(t *testing.T) {
	w := archivedWorld(t)
	newest := w.archive(0, w.history[0], 9)
	for object, err := range w.store.List(w.ctx, string(objectstore.KindSegment)) {
		w.must(err)
		path := filepath.Join(w.folder, filepath.FromSlash(object.Key))
		content, err := os.ReadFile(path)
		w.must(err)
		content[len(content)-40] ^= 1
		w.must(os.WriteFile(path, content, 0o600))
	}
	w.lose(0, 9)
	if p := w.inspect(0).Report.Partitions[0]; p.History == nil || p.History.Manifest == newest.Manifest || fmt.Sprint(p.Unknown) != "[offsets 14 to 15]" {
		t.Errorf("the report is %+v", p)
	}
}

func TestManifestThatCannotBeReadIsAFinding(t *testing.T) {
	w := archivedWorld(t)
	w.hide(w.history[0].Manifest, true)
	if p := w.inspect(0).Report.Partitions[0]; len(p.Findings) != 1 || !contains(p.Findings, "the manifest "+w.history[0].Manifest) || !contains(p.Findings, "offsets 0 to 11") {
		t.Errorf("findings are %q", p.Findings)
	}
	if report := w.inspect(0).Report.Partitions[0]; report.Plan == nil || report.Plan.LostManifest != w.history[0].Manifest {
		t.Errorf("the plan is %+v, %s", report.Plan, report.PlanError)
	}
	w.hide(w.history[0].Manifest, false)
	got, err := w.accept(w.ctx)
	w.must(err)
	if got.Copied != 3 || got.LostManifest != "" {
		t.Errorf("accepted is %+v", got)
	}
}

func TestLossIsNotAcceptedWithoutTheStore(t *testing.T) {
	w := archivedWorld(t)
	w.lose(0, 8)
	if got, err := (&Inspector{Conn: w.conn, JS: w.js}).Accept(w.ctx, w.topic, 0); err == nil || !strings.Contains(err.Error(), "object store") {
		t.Errorf("accepted is %+v, %v", got, err)
	}
	if bounds, err := partitionlog.New(w.conn, w.js, w.topic.Partition(0)).Bounds(w.ctx); err != nil || bounds.Sealed {
		t.Errorf("the log is %+v, %v", bounds, err)
	}
}

// A log is archived and purged while it is read.
func TestPurgeDuringAnInspectionIsNoDamage(t *testing.T) {
	w := archivedWorld(t)
	for number := range uint64(600) {
		w.commit(0, w.stage(w.batch(0, "b", number))...)
	}
	read := 0
	p, err := w.inspector().InspectLog(w.ctx, w.topic.Partition(0), func(*messages.LoggedEntry, bool) error {
		if read++; read == 1 {
			w.history[0] = w.archive(0, w.history[0], 590)
			w.append(0, messages.Entry{Epoch: 5})
			w.save(0, 580)
			w.save(0, 585)
			w.purge(0, 580)
		}
		return nil
	})
	w.must(err)
	if len(p.Findings) != 0 || p.History == nil || p.History.EndSequence != 590 || len(p.Purged) == 0 {
		t.Errorf("the report is %+v", p)
	}
	if read >= 606 {
		t.Errorf("%d entries were read, so nothing was purged before", read)
	}
}
