package core

import (
	"testing"
	"time"
)

func stored(h *Hedge, puts int, took time.Duration) {
	for range puts {
		h.Stored(took)
	}
}

func TestPutIsLateAfterAMultipleOfTheUsualTime(t *testing.T) {
	var h Hedge
	stored(&h, leastPuts-1, 500*time.Millisecond)
	if got := h.Late(); got != 0 {
		t.Errorf("after %d puts a put is late after %v, want never", leastPuts-1, got)
	}
	h.Stored(500 * time.Millisecond)
	if got := h.Late(); got != 2*time.Second {
		t.Errorf("a put is late after %v, want 2s", got)
	}
	stored(&h, 4, time.Minute)
	if got := h.Late(); got != 4*time.Minute {
		t.Errorf("when two of ten puts take a minute, a put is late after %v, want 4m", got)
	}
	stored(&h, usualPuts, time.Millisecond)
	if got := h.Late(); got != leastLate {
		t.Errorf("with a fast store a put is late after %v, want %v", got, leastLate)
	}
}

func TestFewPutsAreRepeated(t *testing.T) {
	var h Hedge
	stored(&h, 1000, time.Second)
	repeated := 0
	for repeated < 100 && h.Take() {
		repeated++
	}
	if repeated != hedgeBurst {
		t.Errorf("%d puts are repeated one after the other, want %d", repeated, hedgeBurst)
	}
	for range 1000 {
		h.Stored(time.Second)
		if h.Take() {
			repeated++
		}
	}
	if repeated < hedgeBurst+49 || repeated > hedgeBurst+50 {
		t.Errorf("of 1000 more puts %d are repeated, want 50", repeated-hedgeBurst)
	}
}
