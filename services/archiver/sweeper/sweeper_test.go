package sweeper

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/generation"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/sweepstate"
	"laneway.dev/internal/topics"
	"laneway.dev/services/archiver/core/sweep"
)

func TestObjectsWhoseBatchesAreArchivedGo(t *testing.T) {
	w := newWorld(t)
	l := w.create("orders")
	first := w.produce(l)
	segment := w.objects(objectstore.KindSegment)
	for n := 1; n <= 3; n++ {
		if got := w.sweep(); got.Reason != "" {
			t.Fatalf("sweep %d: %+v", n, got)
		}
		if there := slices.Contains(w.objects(objectstore.KindBatches), first); there != (n < 3) {
			t.Errorf("after sweep %d the object is there: %t", n, there)
		}
	}
	if !slices.Equal(w.objects(objectstore.KindSegment), segment) || len(w.objects(objectstore.KindManifest)) != 1 || len(w.objects(objectstore.KindRecord)) != 1 {
		t.Errorf("left are %q", w.objects(objectstore.Kinds()...))
	}
	if _, err := archive.Manifest(t.Context(), w.store, l.history.Manifest); err != nil {
		t.Error(err)
	}
}

func TestBatchesThatAreNotArchivedStay(t *testing.T) {
	w := newWorld(t)
	l := w.create("orders")
	present, err := generation.Newest(t.Context(), w.conn)
	w.must(err)
	key, err := objectstore.NewBatchesKey(present, time.Now(), nil)
	w.must(err)
	w.append(l, key, present)
	for range 4 {
		w.append(l, "", present) // the owner's watermark does not pass the object
		s := w.sweeper()
		s.sweep(t.Context())
		s.lease.release(t.Context())
		if got := s.Stats().Last; got.Reason != "" || got.Bound > present {
			t.Errorf("the outcome is %+v", got)
		}
	}
	if !slices.Contains(w.objects(objectstore.KindBatches), key) {
		t.Error("the object is gone")
	}
}

func TestADeletedTopicIsGoneAfterThreeSweepsOfDifferentProcesses(t *testing.T) {
	for _, other := range []bool{false, true} {
		w := newWorld(t)
		if other {
			w.produce(w.create("other"))
		}
		l := w.create("orders")
		w.produce(l)
		w.produce(l)
		if got := w.sweep(); got.Reason != "" {
			t.Fatalf("%+v", got)
		}
		w.must(w.topics.Delete(t.Context(), "orders"))
		delete(w.logs, "orders")
		for range 3 {
			w.stop()
			w.start()
			if got := w.sweep(); got.Reason != "" {
				t.Fatalf("%+v", got)
			}
		}
		want := 0
		if other {
			want = 2 // a segment and a manifest
		}
		if left := w.objects(objectstore.KindBatches, objectstore.KindSegment, objectstore.KindManifest); len(left) != want {
			t.Errorf("with another topic: %t, left are %q", other, left)
		}
		census, err := topics.TakeCensus(t.Context(), w.conn, w.js)
		if err != nil || len(census.Tombstones) > 0 {
			t.Errorf("%v, %+v", err, census)
		}
		if got := w.sweep(); got.Reason != "" {
			t.Errorf("%+v", got)
		}
	}
}

func TestALogWithoutWatermarkEndsTheSweep(t *testing.T) {
	w := newWorld(t)
	w.produce(w.create("orders"))
	w.append(w.create("events"), "", 0)
	delete(w.logs, "events")
	w.wantEnd(w.sweep(), sweep.NoAlarm, "the log of partition events/0 has no watermark")
}

func TestALogThatCannotBeReadEndsTheSweep(t *testing.T) {
	w := newWorld(t)
	l := w.create("orders")
	w.produce(l)
	_, err := l.Append(t.Context(), l.last, []byte("no entry"))
	w.must(err)
	delete(w.logs, "orders")
	w.wantEnd(w.sweep(), sweep.NoAlarm, "the log of partition orders/0 cannot be read")
}

func TestOperatorsSeeWhyAndSinceWhenNoSweepIsComplete(t *testing.T) {
	w := newWorld(t)
	w.produce(w.create("orders"))
	w.append(w.create("events"), "", 0)
	events := w.logs["events"]
	delete(w.logs, "events")
	ended := func() *sweepstate.Ended {
		t.Helper()
		ended, err := sweepstate.LastEnded(t.Context(), w.conn)
		w.must(err)
		return ended
	}
	w.sweep()
	first := ended()
	if first == nil || first.Partition != "events/0" || !strings.Contains(first.Reason, "has no watermark") || time.Since(first.Since) > patient {
		t.Fatalf("sweeps have ended by %+v", first)
	}
	_, err := events.Append(t.Context(), events.last, []byte("no entry"))
	w.must(err)
	w.must(sweepstate.NoteEnded(t.Context(), w.js, first.Since.Add(time.Hour), "another reason", ""))
	w.sweep()
	if now := ended(); !now.Since.Equal(first.Since) || now.Partition != "events/0" || !strings.Contains(now.Reason, "cannot be read") {
		t.Errorf("sweeps have ended by %+v, and before by %+v", now, first)
	}
	w.must(w.topics.Delete(t.Context(), "events"))
	if got := w.sweep(); got.Reason != "" {
		t.Errorf("the outcome is %+v", got)
	}
	if now := ended(); now != nil {
		t.Errorf("the last sweep was complete, and sweeps have ended by %+v", now)
	}
}

func TestWaitingObjectsAreDeleted(t *testing.T) {
	w := newWorld(t)
	l := w.create("orders")
	w.produce(l)
	before := w.objects(objectstore.KindManifest, objectstore.KindSegment)
	w.must(w.replaceManifest(l, before...))
	if got := w.sweep(); got.Reason != "" || got.Deleted != int64(len(before)) {
		t.Errorf("the outcome is %+v", got)
	}
	if left := w.objects(objectstore.KindManifest, objectstore.KindSegment); !slices.Equal(left, []string{l.history.Manifest}) {
		t.Errorf("left are %q", left)
	}
	if got := w.sweep(); got.Reason != "" {
		t.Errorf("the outcome is %+v", got)
	}
}

func TestLeaseIsTakenOverWhenItsHolderIsSilent(t *testing.T) {
	w := newWorld(t)
	first, second := newLease(w.js, time.Second), newLease(w.js, time.Second)
	w.must(first.renew(t.Context()))
	for deadline := time.Now().Add(patient); !second.held(); {
		if time.Now().After(deadline) {
			t.Fatal("the lease is not taken over")
		}
		if first.held() {
			w.must(second.renew(t.Context()))
			if second.held() && first.held() {
				t.Fatal("both have the lease")
			}
			continue
		}
		w.must(second.renew(t.Context()))
	}
	w.must(first.renew(t.Context()))
	if first.held() {
		t.Error("the first one has it again")
	}
	second.release(t.Context())
	w.must(first.renew(t.Context()))
	if !first.held() || second.held() {
		t.Error("a lease that was given up is not free")
	}
}

func TestASweeperWithoutLeaseDeletesNothing(t *testing.T) {
	w := newWorld(t)
	w.produce(w.create("orders"))
	for range 3 {
		w.follow()
		s := w.sweeper()
		s.lease.release(t.Context())
		s.sweep(t.Context())
		w.wantEnd(s.Stats().Last, sweep.NoAlarm, "another archiver sweeps")
	}
	if len(w.objects(objectstore.KindRecord)) > 0 {
		t.Error("a record is stored")
	}
}

func TestSweepersRunAtIntervalsOneAtATime(t *testing.T) {
	w := newWorld(t)
	w.create("orders")
	w.follow()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, 2)
	var all []*Sweeper
	for range 2 {
		s := New(Config{Conn: w.conn, JS: w.js, Store: w.store, Logger: zap.NewNop(), Interval: 100 * time.Millisecond})
		all = append(all, s)
		go func() {
			s.Run(ctx)
			ended <- struct{}{}
		}()
	}
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for deadline := time.Now().Add(patient); all[0].Stats().Complete+all[1].Stats().Complete < 3; <-pause.C {
		if time.Now().After(deadline) {
			t.Fatalf("%+v %+v", all[0].Stats(), all[1].Stats())
		}
	}
	cancel()
	<-ended
	<-ended
	if a, b := all[0].Stats(), all[1].Stats(); a.Complete > 0 && b.Complete > 0 {
		t.Errorf("both have swept: %+v, %+v", a, b)
	}
	if n := len(all[0].Values()); n != len(Readings) {
		t.Errorf("%d values of %d readings", n, len(Readings))
	}
}

func TestATornRecordIsReplaced(t *testing.T) {
	w := newWorld(t)
	w.create("orders")
	key, err := objectstore.NewRecordKey(1, time.Now(), nil)
	w.must(err)
	w.must(w.store.Put(t.Context(), key, [][]byte{[]byte("laneway-sweep 1 100 0")}))
	if got := w.sweep(); got.Reason != "" || len(w.objects(objectstore.KindRecord)) != 1 {
		t.Errorf("the outcome is %+v, and there are %q", got, w.objects(objectstore.KindRecord))
	}
	key, err = objectstore.NewRecordKey(1, time.Now(), nil)
	w.must(err)
	w.must(w.store.Put(t.Context(), key, [][]byte{[]byte(strings.Repeat("x", 50) + "\n")}))
	w.wantEnd(w.sweep(), sweep.NoAlarm, "object "+key+", cannot be read")
}

func TestASweepWithoutNATSSaysSo(t *testing.T) {
	w := newWorld(t)
	conn, err := w.server.Connect()
	w.must(err)
	s := New(Config{Conn: conn, JS: w.js, Store: w.store, Logger: zap.NewNop()})
	s.ended(t.Context(), sweep.Outcome{Reason: "why"}, 0)
	if got := s.Stats().Last.Reason; got != "why" {
		t.Errorf("while connected, the reason is %q", got)
	}
	conn.Close()
	s.ended(t.Context(), sweep.Outcome{Reason: "nats: outbound buffer limit exceeded"}, 0)
	if got := s.Stats().Last.Reason; got != "not connected to NATS: nats: outbound buffer limit exceeded" {
		t.Errorf("without NATS, the reason is %q", got)
	}
}
