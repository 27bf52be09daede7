package core

import (
	"time"

	"laneway.dev/pkg/protocol"
)

// Pauses between the puts of an object. Each is about twice the one before, up to a bound;
// a random factor from 0.5 to 1.5 varies it.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// Failure is why a put of an object did not succeed.
type Failure struct {
	Detail  string // what the store said
	Full    bool   // the store has no space left
	Final   bool   // every other put of the object would fail in the same way
	Limited bool   // the stager itself may not put more objects in time; the store was not asked
	Stopped bool   // the put was cancelled because the stager stops
}

// Attempts decides what follows a failed put of one object. It belongs to one goroutine.
type Attempts struct {
	deadline time.Time
	pause    time.Duration // before the next put
}

// NewAttempts returns the attempts of an object that was not put yet.
func NewAttempts(o *Object) Attempts { return Attempts{deadline: o.Deadline(), pause: firstPause} }

// Failed returns the pause before the next put, or the refusal if there is none. random is
// in [0, 1) and spreads the puts of objects that failed at the same time.
//
// A put to a full store is not repeated. It may stay full for long, and the stager would
// run out of memory. A producer that is refused at once can keep its records and retry.
// Batches that a limited stager refuses are staged again by another one.
func (a *Attempts) Failed(now time.Time, f Failure, random float64) (pause time.Duration, refused *protocol.Error) {
	pause = time.Duration(float64(a.pause) * (0.5 + random))
	a.pause = min(2*a.pause, longestPause)
	switch {
	case f.Stopped:
		return 0, errEnding
	case f.Limited:
		return 0, protocol.NewError(protocol.CodeStagerBusy, f.Detail)
	case f.Full, f.Final, !now.Add(pause).Before(a.deadline):
		return 0, protocol.NewError(protocol.CodeStoreUnavailable, f.Detail)
	}
	return pause, nil
}
