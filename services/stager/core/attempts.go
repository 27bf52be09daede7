package core

import (
	"time"

	"laneway.dev/pkg/protocol"
)

// Pauses between the puts of an object: each is twice the one before, up to a bound.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// Failure is why a put of an object did not succeed.
type Failure struct {
	Detail  string // what the store said
	Full    bool   // the store has no space left
	Final   bool   // every other put of the object would fail in the same way
	Stopped bool   // the put was given up because the stager stops
}

// Attempts decides what follows a failed put of one object. It belongs to one goroutine.
type Attempts struct {
	deadline time.Time
	pause    time.Duration // before the next put
}

// NewAttempts returns the attempts of an object that was not put yet.
func NewAttempts(o *Object) Attempts { return Attempts{deadline: o.Deadline(), pause: firstPause} }

// Failed returns how long to wait before the next put, or why there is none. random is in
// [0, 1): it spreads the puts of many objects that failed at the same time.
//
// A full store is not asked again. Space comes back slowly; a producer that is refused at
// once can hold its records, while this stager would run out of memory.
func (a *Attempts) Failed(now time.Time, f Failure, random float64) (pause time.Duration, refused *protocol.Error) {
	pause = time.Duration(float64(a.pause) * (0.5 + random))
	a.pause = min(2*a.pause, longestPause)
	switch {
	case f.Stopped:
		return 0, errEnding
	case f.Full, f.Final, !now.Add(pause).Before(a.deadline):
		return 0, protocol.NewError(protocol.CodeStoreUnavailable, f.Detail)
	}
	return pause, nil
}
