package storecheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/internal/storeid"
	"laneway.dev/pkg/messages"
)

func (w *world) usage() *Usage {
	w.t.Helper()
	u, err := w.checker.Usage(w.ctx)
	w.must(err)
	return u
}

func (w *world) size(key string) int64 {
	w.t.Helper()
	info, err := os.Stat(w.path(key))
	w.must(err)
	return info.Size()
}

func TestUsageTellsLiveBytesFromThoseOfNoUse(t *testing.T) {
	w := newServedWorld(t)
	whole, half, orphan, missing := w.stage(2), w.stage(2), w.stage(3), w.stage(1)
	w.commit(whole...)
	w.commit(half[0])
	w.commit(missing...)
	w.must(os.Remove(w.path(missing[0].Extent.Key)))
	live := whole[0].Extent.Length + whole[1].Extent.Length + half[0].Extent.Length
	referred := w.size(whole[0].Extent.Key) + w.size(half[0].Extent.Key)
	orphans := w.size(orphan[0].Extent.Key)
	u := w.usage()
	u.Place, u.ID, u.Cluster = "", "", ""
	want := &Usage{
		Objects: 3, Bytes: referred + orphans, LiveBytes: live, OtherBytes: referred - live, Waiting: Counted{1, orphans}, MissingObjects: 1,
		Topics: []TopicUsage{{Topic: "orders", Partitions: 1, Batches: 4, Records: 40, Bytes: live + missing[0].Extent.Length}}, Problems: []string{},
	}
	if got, want := fmt.Sprintf("%+v", u), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("usage is\n%s\nwant\n%s", got, want)
	}
}

func TestObjectsOfADeletedTopicWait(t *testing.T) {
	w := newServedWorld(t)
	w.commit(w.stage(2)...)
	logtest.Of(t, w.checker.Conn, w.topic.Partition(0)).LoseLog()
	w.must(w.checker.JS.DeleteKeyValue(w.ctx, "LANEWAY_TOPICS"))
	if u := w.usage(); u.Waiting != (Counted{1, u.Bytes}) || len(u.Topics) != 0 {
		t.Errorf("usage is %+v, want one object that waits", u)
	}
}

func TestUsageNamesLogsThatCannotBeRead(t *testing.T) {
	w := newServedWorld(t)
	w.commit(w.stage(2)...)
	w.must(w.checker.JS.DeleteKeyValue(w.ctx, "LANEWAY_TOPICS"))
	if u := w.usage(); len(u.Problems) != 1 || u.Waiting.Objects != 0 {
		t.Errorf("usage is %+v, want a problem, and the objects of the log that was found", u)
	}
}

func (w *world) loseMarker() {
	w.t.Helper()
	w.must(os.Remove(filepath.Join(w.root, objectstore.MarkerName)))
}

// mustBeRefused checks that nothing is said about a store but that it is not that of the cluster.
func (w *world) mustBeRefused() {
	w.t.Helper()
	report, err := w.checker.Check(w.ctx)
	if _, refused := errors.AsType[*storeid.RefusedError](err); !refused || report != nil {
		w.t.Errorf("the check has the report %+v and the error %v, want only a RefusedError", report, err)
	}
	usage, err := w.checker.Usage(w.ctx)
	if _, refused := errors.AsType[*storeid.RefusedError](err); !refused || usage != nil {
		w.t.Errorf("the usage is %+v and the error %v, want only a RefusedError", usage, err)
	}
}

func TestObjectsOfAnotherStoreAreNotCalledMissing(t *testing.T) {
	w := newServedWorld(t)
	batches := w.stage(2)
	w.commit(batches...)
	w.loseMarker()
	w.must(os.Remove(w.path(batches[0].Extent.Key)))
	w.mustBeRefused() // it is empty
	w.stage(3)
	w.mustBeRefused() // it has objects, but none of the logs
}

func TestStoreThatHasLostItsMarkerIsCompared(t *testing.T) {
	w := newServedWorld(t)
	batches, missing := w.stage(2), w.stage(1)
	w.commit(batches...)
	w.commit(missing...)
	w.must(os.Remove(w.path(missing[0].Extent.Key)))
	w.loseMarker()
	report := w.check()
	if len(report.Damaged) != 1 || report.Damaged[0].Key != missing[0].Extent.Key || report.Store.Marker == "" || report.Store.Advice == "" {
		t.Errorf("the report is %+v, want the lost marker and the missing object", report)
	}
	if u := w.usage(); len(u.Problems) != 1 || u.MissingObjects != 1 || u.Objects != 1 {
		t.Errorf("the usage is %+v, want the lost marker and the missing object", u)
	}
}

func TestStoreIsThatOfTheLogsIfAllItsObjectsAreDamaged(t *testing.T) {
	w := newServedWorld(t)
	batches := w.stage(1)
	w.commit(batches...)
	w.loseMarker()
	w.flip(batches[0].Extent.Key, batches[0].Extent.Offset)
	if report := w.check(); len(report.Damaged) != 1 || len(report.Logs.Lost) != 1 {
		t.Errorf("the report is %+v, want the damaged object", report)
	}
}

// away is a store that does not answer.
type away struct{ objectstore.Store }

func (away) Marker(context.Context) ([]byte, error) {
	return nil, fmt.Errorf("%w: connection refused", objectstore.ErrUnreachable)
}

func TestNothingIsSaidAboutAStoreThatCannotBeUsed(t *testing.T) {
	w := newServedWorld(t)
	w.commit(w.stage(2)...)
	w.checker.Store.Store = away{w.checker.Store.Store}
	if report, err := w.checker.Check(w.ctx); !errors.Is(err, objectstore.ErrUnreachable) || report != nil {
		t.Errorf("the check has the report %+v and the error %v, want only the error of the store", report, err)
	}
	if usage, err := w.checker.Usage(w.ctx); !errors.Is(err, objectstore.ErrUnreachable) || usage != nil {
		t.Errorf("the usage is %+v and the error %v, want only the error of the store", usage, err)
	}
}

func TestReferencesCountEachBlockOnce(t *testing.T) {
	r := newReferences()
	block := func(key string, at int64, start uint32) messages.Extent {
		return messages.Extent{Key: key, Offset: at, Length: 100, Block: messages.InBlock{Codec: "s2", Bytes: 1000, Start: start, Length: 10}}
	}
	sum := int64(0)
	for _, x := range []messages.Extent{
		block("a", 0, 0), block("b", 0, 0), block("a", 0, 10), block("a", 100, 0), {Key: "b", Offset: 100, Length: 7},
	} {
		sum += r.add(x)
	}
	r.freeze()
	a, use := r.find("a")
	if sum != 307 || a != 200 || use != needed {
		t.Errorf("%d bytes in all, and %d of a (%d), want 307 and 200", sum, a, use)
	}
	if _, use := r.find("c"); use != unused || r.missing() != 1 {
		t.Errorf("c is used (%d), or %d are missing, want b only", use, r.missing())
	}
}

func TestReferencesStayAsSmallAsTheObjects(t *testing.T) {
	r := newReferences()
	for i := range 1_000_000 {
		r.add(messages.Extent{Key: fmt.Sprint(i % 100), Length: 1})
	}
	if n := len(r.objects); n > 1<<16+300 {
		t.Errorf("%d references are kept for 100 objects", n)
	}
	r.freeze()
	if bytes, _ := r.find("7"); len(r.objects) != 100 || bytes != 10_000 {
		t.Errorf("%d objects, one with %d bytes, want 100 with 10,000", len(r.objects), bytes)
	}
}
