package core

import (
	"slices"
	"time"
)

const (
	// usualPuts is how many puts show what is usual, and leastPuts how many are needed to say.
	usualPuts, leastPuts = 64, 16
	// A put is late after lateFactor times what nine of ten puts take, but not before
	// leastLate: one more put of a fast store is not worth its price.
	lateFactor = 4
	leastLate  = time.Second
	// hedgeShare is the share of puts that may be repeated because they are late, and
	// hedgeBurst how many of them may follow each other. A store that is slow as a whole is
	// therefore not given twice the work.
	hedgeShare, hedgeBurst = 0.05, 4
)

// Hedge decides when a put is far beyond the usual time, so that the object is put once more
// under another key while the first put goes on. The first of the two that succeeds counts.
// It belongs to one goroutine at a time.
type Hedge struct {
	took    [usualPuts]time.Duration // of the latest successful puts
	puts    int                      // successful ones, in all
	late    time.Duration
	allowed float64 // puts that may be repeated
}

// Stored records how long a successful put took.
func (h *Hedge) Stored(took time.Duration) {
	h.took[h.puts%usualPuts] = took
	h.puts++
	h.allowed = min(h.allowed+hedgeShare, hedgeBurst)
	if h.puts < leastPuts {
		return
	}
	sorted := slices.Sorted(slices.Values(h.took[:min(h.puts, usualPuts)]))
	h.late = max(lateFactor*sorted[len(sorted)*9/10], leastLate)
}

// Late returns after how long a put that begins now is late. It returns 0 while it is not
// known what is usual.
func (h *Hedge) Late() time.Duration { return h.late }

// Take reports whether a late put may be repeated, and counts it if it may.
func (h *Hedge) Take() bool {
	if h.allowed < 1 {
		return false
	}
	h.allowed--
	return true
}
