package client

import "time"

const (
	// slowAnswer is the lowest latency at which batches may grow. If answers are faster, the
	// number of batches in flight hardly limits a producer.
	slowAnswer = 50 * time.Millisecond
	// gain is the factor by which larger batches must raise the producer's rate; otherwise they
	// are halved again. If the producer is limited by anything but the number of batches in
	// flight, larger batches only make every answer slower.
	gain = 1.2
	// retryGrowth is how long batches keep their size after a growth without such a gain, as a
	// multiple of the current latency. If the latency at the time of the growth counted instead,
	// one minute of very slow answers would keep batches small for many minutes.
	retryGrowth = 20
	// periodWindows is how many windows of answers are measured. Latencies vary widely: batches
	// that fill an object do not wait for the linger of the stager.
	periodWindows = 2
)

// growth decides how large the batches of a producer become. A producer has few batches in
// flight, so while answers are slow, the size of the batches limits its rate. growth then doubles
// the size, for as long as each doubling makes the producer faster.
//
// Example, with five batches in flight, answers after 500 ms and enough records: 256 KiB gives
// 2.5 MiB/s, 512 KiB gives 5 MiB/s, and so on up to the limit. If the store accepts no more than
// 6 MiB/s, 1 MiB gives 6 MiB/s, which is a gain of 1.2. 2 MiB gives 6 MiB/s as well, so the size
// returns to 1 MiB.
//
// A growth belongs to the sender's goroutine.
type growth struct {
	least, most int
	window      int // batches in flight
	size        int

	began   time.Time     // of the period that is measured; zero at first
	answers int           // to batches that were sent in it
	latency time.Duration // sum of theirs
	idle    bool          // at some time in it, no full batch was waiting
	grown   bool          // it began with a growth
	before  float64       // rate of the previous period
	useless time.Time     // when the last growth without a gain was noticed; zero means never
}

func newGrowth(least, most, window int) growth {
	return growth{least: least, most: max(least, most), window: window, size: least}
}

// acked records an acknowledged batch, and reports whether the size has changed. latency is the
// time from its first attempt to its answer. waiting is whether full batches wait to be sent.
//
// While full batches wait, the window is full, so the producer's rate is proportional to the size
// of its batches divided by their mean latency. Counting the bytes that are acknowledged in an
// interval would be less exact, because answers arrive in bursts: all batches of an object are
// answered together. Batches that were sent before the last change of the size do not count.
func (g *growth) acked(now time.Time, latency time.Duration, waiting bool) (changed bool) {
	if g.most == g.least {
		return false
	}
	g.idle = g.idle || !waiting
	if now.Add(-latency).Before(g.began) {
		return false
	}
	g.answers++
	g.latency += latency
	if g.answers < periodWindows*g.window {
		return false
	}
	mean, size := g.latency/time.Duration(g.answers), g.size
	rate := float64(size) / mean.Seconds()
	switch {
	case g.idle || mean < slowAnswer:
		g.size = max(g.least, g.size/2)
	case g.grown && rate < gain*g.before:
		g.size, g.useless = max(g.least, g.size/2), now
	case now.Sub(g.useless) >= retryGrowth*mean:
		g.size = min(g.most, 2*g.size)
	}
	*g = growth{
		least: g.least, most: g.most, window: g.window, size: g.size, began: now, grown: g.size > size, before: rate, useless: g.useless,
	}
	return g.size != size
}
