package storecheck

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/archive/archivetest"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/core/sweeprecord"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/internal/snapshots"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// archive archives the log up to its last entry, and appends an entry that says so.
func (w *world) archive() messages.History {
	w.t.Helper()
	next := w.archiveOnly()
	w.history = next
	w.commit()
	return next
}

// archiveOnly archives the log up to its last entry, and no entry says so.
func (w *world) archiveOnly() messages.History {
	w.t.Helper()
	next, err := archivetest.Archive(w.ctx, w.log, w.checker.Store.Store, w.topic.Partition(0), w.history, w.last, "")
	w.must(err)
	return next
}

// purge purges the entries below a sequence, after it has saved a snapshot of the last entry.
func (w *world) purge(below uint64) {
	w.t.Helper()
	p := w.topic.Partition(0)
	entries, _, err := w.log.Read(w.ctx, w.last, 1)
	w.must(err)
	saved, err := snapshots.Open(w.ctx, w.checker.Conn, w.checker.JS)
	w.must(err)
	w.must(saved.Save(w.ctx, p, w.last, 0, messages.EncodeSnapshot(messages.Snapshot{
		TopicID: p.TopicID, Sequence: w.last, NextOffset: w.next, Time: entries[0].Entry.Time, History: w.history,
	})))
	logtest.Of(w.t, w.checker.Conn, p).LoseBelow(below)
}

// manifestOf returns the manifest of the log.
func (w *world) manifest() *manifest.Manifest {
	w.t.Helper()
	m, err := archive.Manifest(w.ctx, w.checker.Store.Store, w.history.Manifest)
	w.must(err)
	return m
}

// footer returns the footer of a segment of the log.
func (w *world) footer(n int) *segment.Footer {
	w.t.Helper()
	s := w.manifest().Segments[n]
	f, err := archive.Footer(w.ctx, w.checker.Store.Store, objectstore.Listed{Key: s.Key, Size: s.Size})
	w.must(err)
	return f
}

// archivedWorld is a log whose first two entries are archived, in a segment each. The first one is
// purged. Two objects have their batches, and one those of the third entry.
func archivedWorld(t *testing.T) (w *world, objects [3]string) {
	t.Helper()
	w = newServedWorld(t)
	for n := range objects {
		batches := w.stage(n + 1)
		objects[n] = batches[0].Extent.Key
		w.commit(batches...)
		if n < 2 {
			w.archive()
		}
	}
	w.purge(4)
	return w, objects
}

func TestArchivedBatchesAreNeededNowhereElse(t *testing.T) {
	w, objects := archivedWorld(t)
	report := w.check()
	logs := report.Logs
	if report.Wrong() || logs.Batches != 3 || logs.Records != 30 || logs.Archived.Objects != 2 || logs.Archived.Batches != 3 || logs.Archived.Records != 30 {
		t.Errorf("wrong is %t, of the logs it says %+v", report.Wrong(), logs)
	}
	if want := w.size(objects[0]) + w.size(objects[1]); logs.WaitingArchived != (Counted{2, want}) {
		t.Errorf("of the archived batches wait %+v, want the objects of the purged and of the archived entry", logs.WaitingArchived)
	}
	if s := report.Store; s.Segments.Objects != 2 || s.Manifests.Objects != 2 || s.Objects != 3 || s.Batches != 6 {
		t.Errorf("the store is %+v", s)
	}
	if usage := w.usage(); logs.Waiting.Objects != 3 || usage.Waiting != logs.Waiting { // with the first manifest
		t.Errorf("%+v wait, and by the usage %+v", logs.Waiting, usage.Waiting)
	}
	w.flip(objects[0], -45) // the last byte of its payload
	w.must(os.Remove(w.path(objects[1])))
	if report := w.check(); report.Wrong() || report.Logs.WaitingArchived.Objects != 1 {
		t.Errorf("damaged are %v, of the logs it says %+v", report.Damaged, report.Logs)
	}
}

func TestAnObjectWithABatchThatIsNotArchivedIsNeeded(t *testing.T) {
	w := newServedWorld(t)
	batches := w.stage(2)
	w.commit(batches[0])
	w.archive()
	w.commit(batches[1])
	if logs := w.check().Logs; logs.Waiting.Objects != 0 {
		t.Errorf("of the logs it says %+v", logs)
	}
	u := w.usage()
	if u.Waiting.Objects != 0 || u.LiveBytes != batches[1].Extent.Length+w.size(w.manifest().Segments[0].Key) {
		t.Errorf("usage is %+v", u)
	}
}

func TestNamesWhatHistoriesLose(t *testing.T) {
	tests := []struct {
		name   string
		damage func(w *world) (key string)
		want   string
	}{
		{"frame", func(w *world) string {
			f := w.footer(1)
			w.flip(f.Key, f.Pages[0].Position-1)
			return f.Key
		}, "payload; orders/0: 1 batches, 10 records, offsets 20 to 29"},
		{"page", func(w *world) string {
			f := w.footer(1)
			w.flip(f.Key, f.Pages[0].Position+20)
			return f.Key
		}, "page; orders/0: 0 batches, 20 records, offsets 10 to 29"},
		{"footer", func(w *world) string {
			key := w.manifest().Segments[1].Key
			w.flip(key, -60)
			return key
		}, "footer; orders/0: 0 batches, 20 records, offsets 10 to 29"},
		{"torn tail", func(w *world) string {
			key := w.manifest().Segments[0].Key
			w.cut(key)
			return key
		}, "footer; orders/0: 0 batches, 10 records, offsets 0 to 9"},
		{"missing segment", func(w *world) string {
			key := w.manifest().Segments[0].Key
			w.must(os.Remove(w.path(key)))
			return key
		}, "missing; orders/0: 0 batches, 10 records, offsets 0 to 9"},
		{"another segment", func(w *world) string {
			key := w.manifest().Segments[0].Key
			content, err := os.ReadFile(w.path(w.manifest().Segments[1].Key))
			w.must(err)
			w.must(os.WriteFile(w.path(key), content, 0o600))
			return key
		}, "footer; orders/0: 0 batches, 10 records, offsets 0 to 9"},
		{"manifest", func(w *world) string {
			w.flip(w.history.Manifest, 30)
			return w.history.Manifest
		}, "manifest; orders/0: 0 batches, 30 records, offsets 0 to 29"},
		{"missing manifest", func(w *world) string {
			w.must(os.Remove(w.path(w.history.Manifest)))
			return w.history.Manifest
		}, "missing; orders/0: 0 batches, 30 records, offsets 0 to 29"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w, _ := archivedWorld(t)
			key := test.damage(w)
			report := w.check()
			if len(report.Damaged) != 1 || report.Damaged[0].Key != key || affected(report.Damaged[0]) != test.want || !report.Damaged[0].Referenced {
				t.Errorf("damaged are %v, want %s: %s", describeAll(report.Damaged), key, test.want)
			}
			if lost := report.Logs.Lost; len(lost) != 1 || !strings.HasSuffix(test.want, lost[0].Offsets[0].String()) || len(report.Logs.Problems) > 0 {
				t.Errorf("of the logs it says %+v", report.Logs)
			}
		})
	}
}

func describeAll(objects []*Object) (all []string) {
	for _, o := range objects {
		all = append(all, o.Key+": "+affected(o))
	}
	return all
}

func TestNamesDamagedSegmentsWithoutAServer(t *testing.T) {
	w, _ := archivedWorld(t)
	w.checker.Conn, w.checker.JS = nil, nil
	if report := w.check(); report.Wrong() || report.Store.Segments.Batches != 3 || report.Store.Segments.Records != 30 || report.Store.Manifests.Objects != 2 {
		t.Errorf("the report is %+v", report)
	}
	first, second := w.footer(0), w.footer(1)
	w.flip(first.Key, first.Pages[0].Position-1)
	w.flip(second.Key, -1)
	w.flip(w.history.Manifest, -1)
	report := w.check()
	want := []string{w.history.Manifest + ": manifest", first.Key + ": payload; orders/0: 1 batches, 10 records, offsets 0 to 9", second.Key + ": footer"}
	slices.Sort(want)
	if got := describeAll(report.Damaged); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("damaged are\n%q, want\n%q", got, want)
	}
}

func TestSegmentsAndManifestsThatNoLogNamesWait(t *testing.T) {
	w, _ := archivedWorld(t)
	before, usage := w.check().Logs, w.usage()
	late := w.archiveOnly() // a job that was lost
	m, err := archive.Manifest(w.ctx, w.checker.Store.Store, late.Manifest)
	w.must(err)
	orphan := m.Segments[2].Key
	bytes := w.size(orphan) + w.size(late.Manifest)
	report := w.check()
	if logs := report.Logs; report.Wrong() || logs.Waiting != (Counted{before.Waiting.Objects + 2, before.Waiting.Bytes + bytes}) ||
		logs.Archived != before.Archived {
		t.Errorf("of the logs it says %+v, before %+v", logs, before)
	}
	if now := w.usage(); now.Waiting != (Counted{usage.Waiting.Objects + 2, usage.Waiting.Bytes + bytes}) || now.LiveBytes != usage.LiveBytes {
		t.Errorf("usage is %+v, before %+v", now, usage)
	}
	w.cut(orphan)
	w.cut(late.Manifest)
	report = w.check()
	if report.Wrong() || len(report.Unfinished) != 2 || report.Store.Segments.Objects != 3 || report.Store.Manifests.Objects != 3 {
		t.Errorf("damaged are %q, unfinished %q", describeAll(report.Damaged), describeAll(report.Unfinished))
	}
}

func TestBatchesThatWereGivenUpAreCounted(t *testing.T) {
	w := newServedWorld(t)
	batches := w.stage(2)
	w.commit(batches...)
	w.flip(batches[0].Extent.Key, batches[0].Extent.Offset)
	w.archive()
	if report := w.check(); report.Wrong() || report.Logs.GivenUpRecords != 10 || report.Logs.Archived.Records != 10 {
		t.Errorf("damaged are %q, of the logs it says %+v", describeAll(report.Damaged), report.Logs)
	}
}

func TestBlocksOfSegmentsAreRead(t *testing.T) {
	w := newServedWorld(t)
	var frame protocol.FrameBuilder
	frame.Append(protocol.Record{Value: []byte(strings.Repeat("Laneway ", 100))})
	key, err := objectstore.NewKey(objectstore.KeyTime("").AddDate(2026, 0, 0), nil)
	w.must(err)
	builder := objectstore.NewBuilder(key)
	var batches []messages.Placeholder
	for n := range uint64(5) {
		b := messages.Batch{Ticket: messages.Ticket{Lane: "l", Number: n}, Records: 1}
		extent, err := builder.Add(objectstore.Batch{Batch: b, Partition: w.topic.Partition(0), Payload: frame.Bytes()})
		w.must(err)
		batches = append(batches, messages.Placeholder{Batch: b, Extent: extent})
	}
	w.must(w.checker.Store.Store.Put(w.ctx, key, builder.Parts()))
	w.commit(batches...)
	w.history, err = archivetest.Archive(w.ctx, w.log, w.checker.Store.Store, w.topic.Partition(0), w.history, w.last, protocol.CompressionS2)
	w.must(err)
	w.commit()
	report := w.check()
	if report.Wrong() || report.Logs.Archived.Batches != 5 || report.Logs.WaitingArchived.Objects != 1 || report.Store.Segments.Bytes > 1000 {
		t.Errorf("damaged are %q, of the logs it says %+v", describeAll(report.Damaged), report.Logs)
	}
	w.flip(w.manifest().Segments[0].Key, w.footer(0).Pages[0].Position-1)
	if report := w.check(); len(report.Damaged) != 1 || affected(report.Damaged[0]) != "payload; orders/0: 5 batches, 5 records, offsets 0 to 4" {
		t.Errorf("damaged are %q", describeAll(report.Damaged))
	}
}

func TestUsageCountsWhatWaitsForItsDeletion(t *testing.T) {
	w, _ := archivedWorld(t)
	before := w.usage()
	m := w.manifest()
	dropped := m.Segments[0]
	m.Waiting, m.Segments, m.Start = []string{dropped.Key, w.history.Manifest}, m.Segments[1:], dropped.End
	was := w.size(w.history.Manifest)
	var err error
	m.Key, err = objectstore.NewManifestKey(1, time.Now(), nil)
	w.must(err)
	w.must(w.checker.Store.Store.Put(w.ctx, m.Key, [][]byte{manifest.Encode(m)}))
	w.history = m.History()
	w.commit()
	record, err := objectstore.NewRecordKey(1, time.Now(), nil)
	w.must(err)
	w.must(w.checker.Store.Store.Put(w.ctx, record, [][]byte{[]byte("record")}))
	u := w.usage()
	want := Counted{2, dropped.Size + was}
	if sum := (Counted{before.Waiting.Objects + 2, before.Waiting.Bytes + want.Bytes}); u.Waiting != sum || u.Topics[0].Waiting != want {
		t.Errorf("usage is %+v, before %+v", u, before)
	}
	if u.LiveBytes+u.OtherBytes+u.Waiting.Bytes != u.Bytes {
		t.Errorf("not all bytes are counted once: %+v", u)
	}
}

func TestDamagedRecordsOfSweepsAreNamed(t *testing.T) {
	w, _ := archivedWorld(t)
	content, err := sweeprecord.Encode(sweeprecord.Record{Number: 1})
	w.must(err)
	for range 2 {
		key, err := objectstore.NewRecordKey(1, time.Now(), nil)
		w.must(err)
		w.must(w.checker.Store.Store.Put(w.ctx, key, [][]byte{content}))
		content = content[:len(content)-1] // a record that was not finished
	}
	report := w.check()
	if report.Wrong() {
		t.Errorf("damaged are %q", describeAll(report.Damaged))
	}
	key, err := objectstore.NewRecordKey(1, time.Now(), nil)
	w.must(err)
	w.must(w.checker.Store.Store.Put(w.ctx, key, [][]byte{append(content, "??"...)}))
	if report := w.check(); len(report.Damaged) != 1 || report.Damaged[0].Key != key {
		t.Errorf("damaged are %q", describeAll(report.Damaged))
	}
}

func TestListsOfSegmentsAreRead(t *testing.T) {
	w := newServedWorld(t)
	for range manifest.MaxSegments + 1 {
		w.history = w.archiveOnly()
		w.commit()
	}
	w.commit(w.stage(1)...)
	w.archive()
	m := w.manifest()
	if len(m.Lists) != 1 {
		t.Fatalf("the manifest has %d lists", len(m.Lists))
	}
	report, u := w.check(), w.usage()
	if report.Wrong() || report.Logs.Archived.Objects != manifest.MaxSegments+2 || u.MissingObjects != 0 || u.Topics[0].Segments != manifest.MaxSegments+2 || len(u.Problems) > 0 {
		t.Errorf("damaged are %q, archived %+v, usage %+v", describeAll(report.Damaged), report.Logs.Archived, u)
	}
	w.must(os.Remove(w.path(m.Lists[0].Key)))
	report, u = w.check(), w.usage()
	if len(report.Damaged) != 1 || report.Damaged[0].Key != m.Lists[0].Key || u.MissingObjects != 1 || len(u.Problems) != 1 {
		t.Errorf("damaged are %q, usage %+v", describeAll(report.Damaged), u)
	}
}

func TestUsageCountsSegments(t *testing.T) {
	w, objects := archivedWorld(t)
	u := w.usage()
	m := w.manifest()
	segments := m.Segments[0].Size + m.Segments[1].Size
	if got := u.Topics[0]; got.Batches != 3 || got.Records != 30 || got.Segments != 2 || got.SegmentBytes != segments || got.ArchivedRecords != 30 {
		t.Errorf("the topic is %+v", got)
	}
	live := segments + u.Topics[0].Bytes
	if u.LiveBytes != live || u.Objects != 7 || u.MissingObjects != 0 || len(u.Problems) > 0 || u.LiveBytes+u.OtherBytes+u.Waiting.Bytes != u.Bytes {
		t.Errorf("usage is %+v", u)
	}
	// The objects of the purged and the archived entry, and the first manifest, wait.
	if u.Waiting.Objects != 3 {
		t.Errorf("%+v wait", u.Waiting)
	}
	w.must(os.Remove(w.path(objects[1])))
	if u := w.usage(); u.MissingObjects != 0 {
		t.Errorf("%d objects are missing", u.MissingObjects)
	}
	w.must(os.Remove(w.path(m.Segments[0].Key)))
	if u := w.usage(); u.MissingObjects != 1 {
		t.Errorf("%d objects are missing, want a segment", u.MissingObjects)
	}
	w.must(os.Remove(w.path(w.history.Manifest)))
	if u := w.usage(); u.MissingObjects != 1 || len(u.Problems) != 1 || !strings.Contains(u.Problems[0], w.history.Manifest) {
		t.Errorf("usage is %+v, want a problem with the manifest", u)
	}
}
