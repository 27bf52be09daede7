package storecheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/storeid"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// world is a store, and the log of a partition that refers to its objects.
type world struct {
	t       *testing.T
	ctx     context.Context
	root    string
	checker Checker
	topic   protocol.Topic
	log     *partitionlog.Log // nil without a server
	last    uint64            // sequence of the log
	next    int64             // offset of the log
	history messages.History  // that entries carry
}

// newWorld makes an empty store with a marker.
func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, root: t.TempDir()}
	store, err := objectstore.Open(w.root, 0)
	w.must(err)
	w.checker.Store = storeid.Candidate{Store: store, Place: "here"}
	w.topic = protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "orders", Partitions: 1}, ID: 7}
	w.must(store.Mark(ctx, []byte(`{"cluster":"C","store":"S"}`)))
	return w
}

// newServedWorld makes an empty store of a server with a topic.
func newServedWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.must(os.Remove(filepath.Join(w.root, objectstore.MarkerName)))
	w.checker.Conn, w.checker.JS = embeddedtest.Start(t)
	_, err := storeid.Join(w.ctx, w.checker.JS, w.checker.Store, nil)
	w.must(err)
	registry, err := topics.Open(w.ctx, w.checker.Conn, w.checker.JS)
	w.must(err)
	w.topic, err = registry.Create(w.ctx, w.topic.TopicConfig)
	w.must(err)
	w.log = partitionlog.New(w.checker.Conn, w.checker.JS, w.topic.Partition(0))
	w.last = 1
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// stage puts an object of some batches of ten records into the store.
func (w *world) stage(batches int) []messages.Placeholder {
	w.t.Helper()
	key, err := objectstore.NewKey(time.Now(), nil)
	w.must(err)
	builder := objectstore.NewBuilder(key)
	var staged []messages.Placeholder
	for n := range batches {
		batch := messages.Batch{Ticket: messages.Ticket{Lane: "l", Number: uint64(n)}, Records: 10}
		extent, err := builder.Add(objectstore.Batch{
			Batch: batch, Partition: w.topic.Partition(0), Epoch: 5, Payload: fmt.Appendf(nil, "payload %d of %s", n, key),
		})
		w.must(err)
		staged = append(staged, messages.Placeholder{Batch: batch, Extent: extent})
	}
	w.must(w.checker.Store.Store.Put(w.ctx, key, builder.Parts()))
	return staged
}

// commit appends an entry with the batches to the log.
func (w *world) commit(batches ...messages.Placeholder) {
	w.t.Helper()
	e := messages.Entry{TopicID: w.topic.ID, Epoch: 5, BaseOffset: w.next, Batches: batches, Time: time.Now().UnixNano(), History: w.history}
	var err error
	w.last, err = w.log.Append(w.ctx, w.last, messages.EncodeEntry(e))
	w.must(err)
	w.next = e.NextOffset()
}

func (w *world) path(key string) string { return filepath.Join(w.root, filepath.FromSlash(key)) }

// flip alters a byte of an object; a negative position counts from its end.
func (w *world) flip(key string, at int64) {
	w.t.Helper()
	content, err := os.ReadFile(w.path(key))
	w.must(err)
	if at < 0 {
		at += int64(len(content))
	}
	content[at] ^= 1
	w.must(os.WriteFile(w.path(key), content, 0o600))
}

// cut takes the last byte off an object.
func (w *world) cut(key string) {
	w.t.Helper()
	content, err := os.ReadFile(w.path(key))
	w.must(err)
	w.must(os.WriteFile(w.path(key), content[:len(content)-1], 0o600))
}

func (w *world) check() *Report {
	w.t.Helper()
	report, err := w.checker.Check(w.ctx)
	w.must(err)
	return report
}

// affected returns what a report says of an object, as a line.
func affected(o *Object) string {
	text := string(o.Damage)
	for _, a := range o.Affects {
		text += fmt.Sprintf("; %s/%d: %d batches, %d records", a.Topic, a.Partition, a.Batches, a.Records)
		if a.Offsets != nil {
			text += ", " + a.String()
		}
	}
	return text
}

func TestCountsAStoreWithoutDamage(t *testing.T) {
	w := newWorld(t)
	size := int64(0)
	for _, batches := range []int{3, 1} {
		info, err := os.Stat(w.path(w.stage(batches)[0].Extent.Key))
		w.must(err)
		size += info.Size()
	}
	report := w.check()
	want := Store{Place: "here", ID: "S", Cluster: "C", Objects: 2, Bytes: size, Batches: 4, Records: 40}
	got := report.Store
	if got.Errors = nil; fmt.Sprint(got) != fmt.Sprint(want) || report.Wrong() || report.Logs != nil {
		t.Errorf("report is %+v, want %+v and nothing wrong", report, want)
	}
}

func TestNamesDamagedObjectsWithoutAServer(t *testing.T) {
	tests := []struct {
		name   string
		damage func(w *world, batches []messages.Placeholder)
		want   string
		whole  int64 // batches
	}{
		{"torn tail", func(w *world, b []messages.Placeholder) { w.cut(b[0].Extent.Key) }, "torn", 0},
		{"header", func(w *world, b []messages.Placeholder) { w.flip(b[0].Extent.Key, 9) }, "header", 0},
		{"index", func(w *world, b []messages.Placeholder) { w.flip(b[0].Extent.Key, -40) }, "index", 0},
		{"head", func(w *world, b []messages.Placeholder) { w.flip(b[0].Extent.Key, b[1].Extent.Offset-1) }, "head", 2},
		{"payload", func(w *world, b []messages.Placeholder) { w.flip(b[0].Extent.Key, b[1].Extent.Offset) }, "payload; orders/0: 1 batches, 10 records", 2},
		{"two payloads", func(w *world, b []messages.Placeholder) {
			w.flip(b[0].Extent.Key, b[0].Extent.Offset)
			w.flip(b[0].Extent.Key, b[2].Extent.Offset)
		}, "payload; orders/0: 2 batches, 20 records", 1},
		{"foreign file", func(w *world, b []messages.Placeholder) {
			w.must(os.WriteFile(w.path(b[0].Extent.Key), bytes.Repeat([]byte("x"), 100), 0o600))
		}, "foreign", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.stage(5)
			batches := w.stage(3)
			test.damage(w, batches)
			report := w.check()
			if len(report.Damaged) != 1 || report.Damaged[0].Key != batches[0].Extent.Key || affected(report.Damaged[0]) != test.want {
				t.Fatalf("damaged are %v, want %s: %s", report.Damaged, batches[0].Extent.Key, test.want)
			}
			if !report.Wrong() || report.Store.Batches != 5+test.whole || report.Store.Objects != 2 {
				t.Errorf("wrong is %t, counted is %+v", report.Wrong(), report.Store)
			}
		})
	}
}

func TestMarkerIsPartOfTheStore(t *testing.T) {
	w := newWorld(t)
	marker := filepath.Join(w.root, objectstore.MarkerName)
	w.must(os.WriteFile(marker, []byte(`{"cluster":`), 0o600))
	if report := w.check(); report.Store.Marker == "" || !report.Wrong() {
		t.Error("a damaged marker is not reported")
	}
	w.must(os.Remove(marker))
	if report := w.check(); report.Store.Marker == "" || !report.Wrong() {
		t.Error("a lost marker is not reported")
	}
}

func TestNamesWhatLogsLose(t *testing.T) {
	tests := []struct {
		name   string
		damage func(w *world, batches []messages.Placeholder)
		want   string
	}{
		{"torn tail", func(w *world, b []messages.Placeholder) { w.cut(b[0].Extent.Key) }, "torn"},
		{
			"torn payload", func(w *world, b []messages.Placeholder) {
				w.must(os.Truncate(w.path(b[0].Extent.Key), b[2].Extent.Offset+1))
			},
			"torn; orders/0: 1 batches, 10 records, offsets 70 to 79",
		},
		{"header", func(w *world, b []messages.Placeholder) { w.flip(b[0].Extent.Key, 9) }, "header"},
		{"index", func(w *world, b []messages.Placeholder) { w.flip(b[0].Extent.Key, -40) }, "index"},
		{"head", func(w *world, b []messages.Placeholder) { w.flip(b[0].Extent.Key, b[1].Extent.Offset-1) }, "head"},
		{
			"payload", func(w *world, b []messages.Placeholder) { w.flip(b[0].Extent.Key, b[1].Extent.Offset) },
			"payload; orders/0: 1 batches, 10 records, offsets 60 to 69",
		},
		{"first and last payload", func(w *world, b []messages.Placeholder) {
			w.flip(b[0].Extent.Key, b[0].Extent.Offset)
			w.flip(b[0].Extent.Key, b[2].Extent.Offset)
		}, "payload; orders/0: 1 batches, 10 records, offsets 50 to 59; orders/0: 1 batches, 10 records, offsets 70 to 79"},
		{
			"missing object", func(w *world, b []messages.Placeholder) { w.must(os.Remove(w.path(b[0].Extent.Key))) },
			"missing; orders/0: 3 batches, 30 records, offsets 50 to 79",
		},
		{"foreign file", func(w *world, b []messages.Placeholder) {
			w.must(os.WriteFile(w.path(b[0].Extent.Key), bytes.Repeat([]byte("x"), 1000), 0o600))
		}, "foreign; orders/0: 3 batches, 30 records, offsets 50 to 79"},
	}
	w := newServedWorld(t)
	w.commit(w.stage(5)...)
	batches := w.stage(3)
	w.commit(batches...)
	key := batches[0].Extent.Key
	original, err := os.ReadFile(w.path(key))
	w.must(err)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w.t = t
			test.damage(w, batches)
			report := w.check()
			if len(report.Damaged) != 1 || report.Damaged[0].Key != key || affected(report.Damaged[0]) != test.want || !report.Damaged[0].Referenced {
				t.Errorf("damaged are %v, want %s: %s", report.Damaged, key, test.want)
			}
			if logs := report.Logs; !report.Wrong() || logs.Batches != 8 || logs.Records != 80 || logs.Waiting.Objects != 0 || len(logs.Problems) > 0 {
				t.Errorf("wrong is %t, of the logs it says %+v", report.Wrong(), logs)
			}
			w.must(os.WriteFile(w.path(key), original, 0o600))
		})
	}
	if report := w.check(); report.Wrong() || report.Logs.Entries != 3 || report.Logs.Partitions != 1 {
		t.Errorf("restored: report is %+v, %+v", report, report.Logs)
	}
}

func TestLogMayDifferFromAWholeObject(t *testing.T) {
	w := newServedWorld(t)
	batches := w.stage(2)
	batches[1].Extent.CRC++
	w.commit(batches...)
	report := w.check()
	if len(report.Damaged) != 1 || affected(report.Damaged[0]) != "payload; orders/0: 1 batches, 10 records, offsets 10 to 19" {
		t.Errorf("damaged are %v", report.Damaged)
	}
}

func TestUnreferencedObjectsAreNotWrong(t *testing.T) {
	w := newServedWorld(t)
	w.commit(w.stage(1)...)
	unreferenced, torn := w.stage(2)[0].Extent.Key, w.stage(2)[0].Extent.Key
	w.cut(torn)
	info, err := os.Stat(w.path(unreferenced))
	w.must(err)
	report := w.check()
	if logs := report.Logs; report.Wrong() || logs.Waiting != (Counted{1, info.Size()}) || logs.WaitingArchived.Objects != 0 {
		t.Errorf("wrong is %t, of the logs it says %+v", report.Wrong(), logs)
	}
	if len(report.Unfinished) != 1 || report.Unfinished[0].Key != torn {
		t.Errorf("unfinished are %v, want %s", report.Unfinished, torn)
	}
}

func TestNamesALimitedNumberOfObjects(t *testing.T) {
	c := newComparison(true)
	p := protocol.Partition{Topic: "orders"}
	for n := range int64(maxNamed + 5) {
		b := messages.Placeholder{Batch: messages.Batch{Records: 1}, Extent: messages.Extent{Key: fmt.Sprint(n), Length: 1}}
		for range 2 { // two batches of each object
			if c.refer(&b) {
				t.Fatal("a batch is found in an empty store")
			}
			c.lose(p, c.report.Logs.Records*2, &b, objectstore.ErrNotFound) // with a gap between
		}
	}
	report := c.finish()
	lost := report.Logs.Lost[0]
	if len(report.Damaged) != maxNamed || report.MoreDamaged != 5 || len(lost.Offsets) != maxRanges || lost.Batches != 2*(maxNamed+5) {
		t.Errorf("%d objects are named, %d more are counted, with %d ranges and %d batches", len(report.Damaged), report.MoreDamaged, len(lost.Offsets), lost.Batches)
	}
}

func TestTopicWithoutARecordIsAProblem(t *testing.T) {
	w := newServedWorld(t)
	lost := w.stage(2)
	w.commit(lost...)
	w.must(w.checker.JS.DeleteKeyValue(w.ctx, "LANEWAY_TOPICS"))
	w.must(os.Remove(w.path(lost[0].Extent.Key)))
	report := w.check()
	if len(report.Logs.Problems) != 1 || len(report.Damaged) != 1 || affected(report.Damaged[0]) != "missing; orders/0: 2 batches, 20 records, offsets 0 to 19" {
		t.Errorf("damaged are %v, of the logs it says %+v", report.Damaged, report.Logs)
	}
}

// An upload that is under way when its object is read may be whole, and in a log, when the
// logs are read.
func TestUploadMayEndDuringTheCheck(t *testing.T) {
	w := newServedWorld(t)
	w.commit(w.stage(1)...)
	late, failed := w.stage(2), w.stage(1)[0].Extent.Key
	whole, err := os.ReadFile(w.path(late[0].Extent.Key))
	w.must(err)
	w.cut(late[0].Extent.Key)
	w.cut(failed)
	c := &w.checker
	c.comparison = newComparison(true)
	_, err = c.identify(w.ctx)
	w.must(err)
	w.must(c.scanAll(w.ctx))
	w.must(os.WriteFile(w.path(late[0].Extent.Key), whole, 0o600))
	w.must(os.Remove(w.path(failed)))
	w.commit(late[0])
	c.comparison.freeze()
	w.must(errors.Join(c.logs(w.ctx), c.again(w.ctx)))
	report := c.comparison.finish()
	if report.Wrong() || len(report.Unfinished) > 0 || report.Store.Objects != 2 || report.Store.Batches != 3 || report.Logs.Waiting.Objects != 0 {
		t.Errorf("report is %+v", report)
	}
}

func TestDamagedLogsAreWrong(t *testing.T) {
	w := newServedWorld(t)
	torn := w.stage(1)
	w.commit(w.stage(1)...)
	if _, err := w.log.Append(w.ctx, w.last, []byte("no entry")); err != nil {
		t.Fatal(err)
	}
	w.cut(torn[0].Extent.Key)
	report := w.check()
	if len(report.Logs.Problems) == 0 || !report.Wrong() {
		t.Errorf("of the logs it says %+v", report.Logs)
	}
	if len(report.Damaged) != 1 || len(report.Unfinished) > 0 {
		t.Errorf("the torn object is not damaged, although the log may have referred to it: %+v", report)
	}
}

func TestRefusesTheStoreOfAnotherCluster(t *testing.T) {
	w := newServedWorld(t)
	marker := filepath.Join(w.root, objectstore.MarkerName)
	w.must(os.WriteFile(marker, []byte(`{"cluster":"C","store":"S"}`), 0o600))
	_, err := w.checker.Check(w.ctx)
	if _, refused := errors.AsType[*storeid.RefusedError](err); !refused {
		t.Errorf("error is %v, want a RefusedError", err)
	}
}

func TestEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	w.stage(1)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := w.checker.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want context.Canceled", err)
	}
}

// flippingStore alters the first payload that it returns.
type flippingStore struct {
	objectstore.Store
	flipped bool
}

func (s *flippingStore) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	content, err := s.Store.ReadRange(ctx, key, offset, length)
	if i := bytes.Index(content, []byte("payload")); i >= 0 && !s.flipped {
		s.flipped, content[i] = true, content[i]^1
	}
	return content, err
}

func (s *flippingStore) Below(string) objectstore.Store { return s }

func TestPayloadAlteredOnTheWayIsNotDamaged(t *testing.T) {
	w := newWorld(t)
	w.stage(3)
	w.checker.Store.Store = &flippingStore{Store: w.checker.Store.Store}
	if report := w.check(); report.Wrong() || report.Store.Batches != 3 {
		t.Errorf("the report is %+v", report)
	}
}
