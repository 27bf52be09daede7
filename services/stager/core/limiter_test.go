package core

import (
	"testing"
	"time"
)

func TestLimitRisesByOneForEachRoundOfUploads(t *testing.T) {
	l := newLimiter(Settings{Uploads: 8, MostUploads: 64})
	for range 9 {
		l.stored(l.slots())
	}
	if got := l.slots(); got != 9 {
		t.Errorf("after a round of 8 uploads, and one more, the limit is %d, want 9", got)
	}
}

func TestLimitDoesNotRiseWhileSlotsAreFree(t *testing.T) {
	l := newLimiter(Settings{Uploads: 8, MostUploads: 64})
	for range 1000 {
		l.stored(7)
	}
	if got := l.slots(); got != 8 {
		t.Errorf("the limit is %d, want 8", got)
	}
}

func TestLimitStaysWithinItsBounds(t *testing.T) {
	l := newLimiter(Settings{Uploads: 8, MostUploads: 12})
	for range 1000 {
		l.stored(l.slots())
	}
	if got := l.slots(); got != 12 {
		t.Errorf("the limit has risen to %d, want 12", got)
	}
	now := noon
	for range 100 {
		now = now.Add(time.Second)
		l.failed(now, now)
	}
	if got := l.slots(); got != leastUploads {
		t.Errorf("the limit has fallen to %d, want %d", got, leastUploads)
	}
}

func TestPutsThatFailTogetherLowerTheLimitOnce(t *testing.T) {
	l := newLimiter(Settings{Uploads: 12})
	for i := range 12 {
		l.failed(noon.Add(time.Duration(i)*time.Millisecond), noon.Add(-time.Second))
	}
	if got := l.slots(); got != 8 {
		t.Errorf("the limit is %d, want 8", got)
	}
	l.failed(noon.Add(2*time.Second), noon.Add(time.Second))
	if got := l.slots(); got != 5 {
		t.Errorf("after another failure the limit is %d, want 5", got)
	}
}

func TestFailedPutLeavesFewerSlots(t *testing.T) {
	settings := small
	settings.Uploads = 4
	r := newRig(t, settings)
	r.step(PutFailed{Began: r.now})
	r.wait(time.Second)
	r.step(PutFailed{Began: r.now})
	r.step(stage(orders0, batch("a", 1, 1000), batch("a", 2, 1000), batch("a", 3, 1000)))
	if s := r.core.Stats(); s.Uploading != 2 || s.Limit != 2 {
		t.Errorf("%d uploads run and %d may, want 2", s.Uploading, s.Limit)
	}
}
