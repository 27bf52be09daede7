package client

import "time"

const (
	// slowAnswer is the latency from which on batches may grow. Faster answers leave the
	// producer time enough to send many batches.
	slowAnswer = 50 * time.Millisecond
	// gain is how much more a producer must send after a growth of its batches for them to
	// keep their size. If another limit than the number of batches in flight holds it back,
	// larger batches only make every answer slower.
	gain = 1.2
	// retryGrowth is how long batches keep their size after a growth that was of no use, in
	// latencies. A try lasts for two of them.
	retryGrowth = 20
)

// growth decides how large the batches of a producer become. A producer has few batches in
// flight, so while answers are slow it can send no more than their size allows: with five
// batches of 256 KiB and answers after 500 ms, 2.5 MiB a second. Then growth doubles the size,
// and doubles it again for as long as that makes the producer faster.
//
// Example, answers after 500 ms and enough records: 256 KiB give 2.5 MiB/s, 512 KiB give
// 5 MiB/s, and so on up to the limit. If the store accepts no more than 6 MiB/s, 1 MiB gives
// 6 MiB/s, which is a gain of 1.2; 2 MiB gives 6 MiB/s as well, so the size returns to 1 MiB.
//
// A growth belongs to the sender's goroutine.
type growth struct {
	least, most int
	size        int

	began   time.Time // of the period that is measured; zero before the first answer
	bytes   int64     // acknowledged in it
	idle    bool      // at some time in it no batch was waiting
	grown   bool      // the size has grown at its beginning
	before  float64   // bytes a second of the period before
	holdFor time.Time // until when the size does not grow
}

func newGrowth(least, most int) growth {
	return growth{least: least, most: max(least, most), size: least}
}

// acked records an acknowledged batch, and reports whether the size has changed. latency is the
// time from its first attempt to its answer. waiting is whether other batches wait for room in
// the window.
func (g *growth) acked(now time.Time, bytes int, latency time.Duration, waiting bool) (changed bool) {
	if g.most == g.least {
		return false
	}
	if g.began.IsZero() {
		g.began = now
		return false
	}
	g.bytes += int64(bytes)
	g.idle = g.idle || !waiting
	// Within two latencies, all batches of the size before have been answered.
	elapsed := now.Sub(g.began)
	if elapsed < 2*max(latency, slowAnswer) {
		return false
	}
	rate, size := float64(g.bytes)/elapsed.Seconds(), g.size
	switch {
	case g.idle || latency < slowAnswer:
		g.size = max(g.least, g.size/2)
	case g.grown && rate < gain*g.before:
		g.size, g.holdFor = max(g.least, g.size/2), now.Add(retryGrowth*latency)
	case !now.Before(g.holdFor):
		g.size = min(g.most, 2*g.size)
	}
	*g = growth{
		least: g.least, most: g.most, size: g.size, began: now, grown: g.size > size, before: rate, holdFor: g.holdFor,
	}
	return g.size != size
}
