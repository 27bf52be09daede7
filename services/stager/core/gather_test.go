package core

import (
	"testing"
	"time"
)

func TestBatchesThatArriveTogetherShareAnObject(t *testing.T) {
	r := newRig(t, small)
	fx := r.step(stage(orders0, batch("a", 1, 10), batch("b", 1, 10)), stage(bills0, batch("c", 1, 10)))
	wantObjects(t, fx, []string{"a:1", "b:1", "c:1"})
	r.idle("everything is being uploaded")
}

func TestWithoutLingerObjectIsWhatArrivedDuringUpload(t *testing.T) {
	settings := small
	settings.Uploads = 1
	r := newRig(t, settings)
	first := r.step(stage(orders0, batch("a", 1, 10)))
	wantObjects(t, first, []string{"a:1"})
	wantObjects(t, r.step(stage(orders0, batch("a", 2, 10))))
	wantObjects(t, r.step(stage(bills0, batch("b", 1, 10))))
	wantObjects(t, r.step(done(first.Uploads[0])), []string{"a:2", "b:1"})
}

func TestNoMoreUploadsThanSlots(t *testing.T) {
	r := newRig(t, small)
	first := r.step(stage(orders0, batch("a", 1, 1000)))
	second := r.step(stage(orders0, batch("a", 2, 1000)))
	wantObjects(t, second, []string{"a:2"})
	wantObjects(t, r.step(stage(orders0, batch("a", 3, 1000))))
	if got := r.core.Stats().Uploading; got != 2 {
		t.Errorf("%d uploads in flight, want 2", got)
	}
	wantObjects(t, r.step(done(second.Uploads[0])), []string{"a:3"})
	wantObjects(t, r.step(done(first.Uploads[0])))
}

func TestObjectIsClosedAtItsBytes(t *testing.T) {
	r := newRig(t, small)
	fx := r.step(stage(orders0, batch("a", 1, 600), batch("a", 2, 400), batch("a", 3, 1)))
	wantObjects(t, fx, []string{"a:1", "a:2"})
	wantObjects(t, r.step(done(fx.Uploads[0])), []string{"a:3"})
}

func TestBatchThatDoesNotFitOpensTheNextObject(t *testing.T) {
	r := newRig(t, small)
	fx := r.step(stage(orders0, batch("a", 1, 600), batch("a", 2, 500), batch("a", 3, 100)))
	wantObjects(t, fx, []string{"a:1"})
	wantObjects(t, r.step(done(fx.Uploads[0])), []string{"a:2", "a:3"})
}

func TestLargeBatchGetsItsOwnObject(t *testing.T) {
	settings := small
	settings.Uploads = 3
	r := newRig(t, settings)
	fx := r.step(stage(orders0, batch("a", 1, 10), batch("a", 2, 5000), batch("a", 3, 10)))
	wantObjects(t, fx, []string{"a:1"}, []string{"a:2"})
	wantObjects(t, r.step(done(fx.Uploads[0]), done(fx.Uploads[1])), []string{"a:3"})
}

func TestNextObjectStartsWhenFullOrAfterWait(t *testing.T) {
	settings := small
	settings.Uploads = 4
	r := newRig(t, settings)
	wantObjects(t, r.step(stage(orders0, batch("a", 1, 1000), batch("a", 2, 1000))), []string{"a:1"}, []string{"a:2"})
	wantObjects(t, r.step(stage(orders0, batch("a", 3, 600))))
	wantObjects(t, r.step(stage(orders0, batch("a", 4, 400), batch("a", 5, 10))), []string{"a:3", "a:4"})
	r.wait(busyLinger - 1)
	r.idle("it may still end soon")
	r.wait(1)
	wantObjects(t, r.step(), []string{"a:5"})
}

func TestObjectIsClosedAtItsNumberOfBatches(t *testing.T) {
	r := newRig(t, small)
	fx := r.step(stage(orders0, batch("a", 1, 0), batch("a", 2, 0), batch("a", 3, 0), batch("a", 4, 0),
		batch("a", 5, 0), batch("a", 6, 0)))
	wantObjects(t, fx, []string{"a:1", "a:2", "a:3", "a:4", "a:5"})
	wantObjects(t, r.step(done(fx.Uploads[0])), []string{"a:6"})
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func lingering() Settings {
	settings := small
	settings.Linger = 250 * time.Millisecond
	return settings
}

func TestLingerCountsFromTheOldestBatch(t *testing.T) {
	r := newRig(t, lingering())
	wantObjects(t, r.step(stage(orders0, batch("a", 1, 10))))
	r.wait(200 * time.Millisecond)
	wantObjects(t, r.step(stage(orders0, batch("a", 2, 10))))
	r.wait(49 * time.Millisecond)
	r.idle("the linger is not over")
	r.wait(time.Millisecond)
	wantObjects(t, r.step(), []string{"a:1", "a:2"})
}

func TestFullObjectDoesNotLinger(t *testing.T) {
	r := newRig(t, lingering())
	fx := r.step(stage(orders0, batch("a", 1, 700), batch("a", 2, 700)))
	wantObjects(t, fx, []string{"a:1"})
	r.wait(250 * time.Millisecond)
	wantObjects(t, r.step(), []string{"a:2"})
}

func TestObjectWaitsForASlotAfterItsLinger(t *testing.T) {
	settings := lingering()
	settings.Uploads = 1
	r := newRig(t, settings)
	first := r.step(stage(orders0, batch("a", 1, 1000)), stage(orders0, batch("a", 2, 10)))
	wantObjects(t, first, []string{"a:1"})
	r.wait(time.Second)
	wantObjects(t, r.step(stage(orders0, batch("a", 3, 10))))
	wantObjects(t, r.step(done(first.Uploads[0])), []string{"a:2", "a:3"})
}

func TestDrainingDoesNotLinger(t *testing.T) {
	r := newRig(t, lingering())
	r.step(stage(orders0, batch("a", 1, 10)))
	fx := r.step(Drain{})
	wantObjects(t, fx, []string{"a:1"})
	if r.core.Ended() {
		t.Fatal("the core has ended with an upload in flight")
	}
	wantStaged(t, r.step(done(fx.Uploads[0])), "a:1")
	if !r.core.Ended() {
		t.Fatal("the core has not ended although it holds nothing")
	}
}

func TestDrainingUploadsAllThatWaitsForASlot(t *testing.T) {
	settings := small
	settings.Uploads = 1
	r := newRig(t, settings)
	fx := r.step(stage(orders0, batch("a", 1, 900), batch("a", 2, 900), batch("a", 3, 900)), Drain{})
	for range 3 {
		if r.core.Ended() {
			t.Fatal("the core has ended before all was uploaded")
		}
		fx = r.step(done(fx.Uploads[0]))
	}
	if !r.core.Ended() {
		t.Fatal("the core has not ended")
	}
}
