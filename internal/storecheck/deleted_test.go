package storecheck

import (
	"context"
	"iter"
	"os"
	"testing"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/objectstore"
)

// deleting is a store in which something happens just before the n-th read of an object.
type deleting struct {
	objectstore.Store
	key  string
	left int    // reads before
	then func() // nil once it was called
}

func (d *deleting) Below(string) objectstore.Store { return d }

func (d *deleting) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if then := d.then; key == d.key && then != nil {
		if d.left == 0 {
			d.then = nil
			then()
		}
		d.left--
	}
	return d.Store.ReadRange(ctx, key, offset, length)
}

// checkWhile checks the store while something happens before the n-th read of an object, for each n
// that there is.
func (w *world) checkWhile(prepare func() (key string, happens func()), want func(n int, report *Report)) {
	w.t.Helper()
	store := w.checker.Store.Store
	defer func() { w.checker.Store.Store = store }()
	for n := 0; ; n++ {
		key, happens := prepare()
		d := &deleting{Store: store, key: key, left: n, then: happens}
		w.checker.Store.Store = d
		report := w.check()
		w.checker.Store.Store = store
		if d.then != nil {
			if n < 2 {
				w.t.Errorf("%s was read %d times: the test has not tested what it is for", key, n)
			}
			return
		}
		want(n, report)
	}
}

// lastSegment returns the key of the last segment of a manifest.
func (w *world) lastSegment(key string) string {
	w.t.Helper()
	m, err := archive.Manifest(w.ctx, w.checker.Store.Store, key)
	w.must(err)
	return m.Segments[len(m.Segments)-1].Key
}

func TestSegmentsThatAreDeletedMeanwhileAreNotReported(t *testing.T) {
	w, _ := archivedWorld(t)
	w.checkWhile(func() (string, func()) {
		key := w.lastSegment(w.archiveOnly().Manifest)
		return key, func() { w.must(os.Remove(w.path(key))) }
	}, func(n int, report *Report) {
		if report.Wrong() {
			t.Errorf("a segment is deleted before read %d: damaged are %q", n, describeAll(report.Damaged))
		}
	})
	w.checkWhile(func() (string, func()) {
		w.commit(w.stage(1)...)
		w.archive()
		key := w.lastSegment(w.history.Manifest)
		return key, func() { w.must(os.Rename(w.path(key), w.path(key)+".away")) }
	}, func(n int, report *Report) {
		key := w.lastSegment(w.history.Manifest)
		if len(report.Damaged) != 1 || report.Damaged[0].Key != key || report.Damaged[0].Damage != Missing || !report.Damaged[0].Referenced {
			t.Errorf("a segment that a log needs is deleted before read %d: damaged are %q", n, describeAll(report.Damaged))
		}
		w.must(os.Rename(w.path(key)+".away", w.path(key)))
	})
}

// listed is a store in which something happens before it is listed for the first time.
type listed struct {
	objectstore.Store
	then func()
}

func (l *listed) Below(string) objectstore.Store { return l }

func (l *listed) List(ctx context.Context, prefix string) iter.Seq2[objectstore.Listed, error] {
	if then := l.then; then != nil {
		l.then = nil
		then()
	}
	return l.Store.List(ctx, prefix)
}

func TestUsageMissesNoObjectsThatAreReplacedMeanwhile(t *testing.T) {
	w, objects := archivedWorld(t)
	store, first := w.checker.Store.Store, w.history.Manifest
	happens := &listed{Store: store, then: func() {
		w.checker.Store.Store = store
		w.archive()
		w.must(os.Remove(w.path(first)))
		w.must(os.Remove(w.path(objects[2])))
	}}
	w.checker.Store.Store = happens
	u := w.usage()
	if happens.then != nil {
		t.Fatal("the store was not listed")
	}
	if u.MissingObjects != 0 || len(u.Problems) > 0 || u.Topics[0].Segments != 3 || u.Topics[0].Batches != 0 {
		t.Errorf("the usage is %+v", u)
	}
	w.must(os.Remove(w.path(w.history.Manifest)))
	if u := w.usage(); u.MissingObjects != 1 {
		t.Errorf("%d objects are missing, want the manifest", u.MissingObjects)
	}
}

func TestManifestsThatAreReplacedMeanwhileAreNotReported(t *testing.T) {
	w, _ := archivedWorld(t)
	w.checkWhile(func() (string, func()) {
		key := w.history.Manifest
		return key, func() {
			w.archive()
			w.must(os.Remove(w.path(key)))
		}
	}, func(n int, report *Report) {
		if report.Wrong() || report.Logs.Archived.Records < 30 {
			t.Errorf("a manifest is replaced before read %d: damaged are %q, archived %+v", n, describeAll(report.Damaged), report.Logs.Archived)
		}
	})
}
