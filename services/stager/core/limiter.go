package core

import "time"

// leastUploads is the number of uploads at once down to which failed puts lower the limit.
const leastUploads = 2

// limiter bounds the uploads at once. While the store keeps up and all slots are in use, the
// limit rises by one for each round of uploads. When puts fail, it falls by a third. This is
// how TCP finds the capacity of a path (RFC 5681): a store that answers 503 gets less to do,
// and a store that is far away gets enough puts in flight to be used well.
type limiter struct {
	least, most float64
	limit       float64
	lowered     time.Time // when the limit last fell
}

func newLimiter(s Settings) limiter {
	first := float64(max(s.Uploads, 1))
	return limiter{least: min(first, leastUploads), most: max(first, float64(s.MostUploads)), limit: first}
}

// slots returns how many uploads may run at once.
func (l *limiter) slots() int { return int(l.limit) }

// stored records a successful upload. uploading counts the uploads that were running, with
// this one. The limit does not rise without need: slots that were never used prove nothing.
func (l *limiter) stored(uploading int) {
	if uploading >= l.slots() {
		l.limit = min(l.most, l.limit+1/l.limit)
	}
}

// failed records a failed put. Puts that began before the limit last fell do not lower it
// again: they ran at the old limit, and many of them fail together.
func (l *limiter) failed(now, began time.Time) {
	if began.Before(l.lowered) {
		return
	}
	l.limit, l.lowered = max(l.least, l.limit*2/3), now
}
