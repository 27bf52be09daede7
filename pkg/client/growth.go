package client

import "time"

const (
	// slowAnswer is the lowest latency at which batches may grow. If answers are faster, a
	// producer has time to send many batches.
	slowAnswer = 50 * time.Millisecond
	// gain is the factor by which larger batches must raise the producer's rate; otherwise they
	// are halved again. If the producer is limited by anything but the number of batches in
	// flight, larger batches only make every answer slower.
	gain = 1.2
	// retryGrowth is how long batches keep their size after a growth without such a gain, in
	// latencies. A growth is measured for two latencies. The latency is the current one: with
	// that of the growth, a minute of very slow answers would keep batches small for many more.
	retryGrowth = 20
)

// growth decides how large the batches of a producer become. A producer has few batches in
// flight, so while answers are slow, the size of the batches limits its rate. growth then doubles
// the size, for as long as each doubling makes the producer faster.
//
// Example, with five batches in flight, answers after 500 ms and enough records: 256 KiB give
// 2.5 MiB/s, 512 KiB give 5 MiB/s, and so on up to the limit. If the store accepts no more than
// 6 MiB/s, 1 MiB gives 6 MiB/s, which is a gain of 1.2. 2 MiB gives 6 MiB/s as well, so the size
// returns to 1 MiB.
//
// A growth belongs to the sender's goroutine.
type growth struct {
	least, most int
	size        int

	began   time.Time // of the period that is measured; zero before the first answer
	bytes   int64     // acknowledged in it
	idle    bool      // at some time in it, no full batch was waiting
	grown   bool      // it began with a growth
	before  float64   // bytes per second of the previous period
	useless time.Time // when the last growth without a gain was noticed; zero means never
}

func newGrowth(least, most int) growth {
	return growth{least: least, most: max(least, most), size: least}
}

// acked records an acknowledged batch, and reports whether the size has changed. latency is the
// time from its first attempt to its answer. waiting is whether full batches wait to be sent.
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
	// Within two latencies, all batches of the previous size have been answered.
	elapsed := now.Sub(g.began)
	if elapsed < 2*max(latency, slowAnswer) {
		return false
	}
	rate, size := float64(g.bytes)/elapsed.Seconds(), g.size
	switch {
	case g.idle || latency < slowAnswer:
		g.size = max(g.least, g.size/2)
	case g.grown && rate < gain*g.before:
		g.size, g.useless = max(g.least, g.size/2), now
	case now.Sub(g.useless) >= retryGrowth*latency:
		g.size = min(g.most, 2*g.size)
	}
	*g = growth{
		least: g.least, most: g.most, size: g.size, began: now, grown: g.size > size, before: rate, useless: g.useless,
	}
	return g.size != size
}
