// Package rounds lets many callers share a request to a server.
//
// It is for questions that thousands of partitions ask when they start, and whose answer concerns them
// all. An answer is never older than the question: who asks while a request is under way gets the answer of
// the next one. golang.org/x/sync/singleflight gives away the answer to an earlier question instead.
package rounds

import (
	"context"
	"sync"
	"time"
)

// Rounds sends requests, one at a time, for all who ask. It has no goroutine of its own: one of those who ask
// sends the request. It is safe for concurrent use.
type Rounds[T any] struct {
	request func(context.Context) (T, error)
	timeout time.Duration
	turn    chan struct{} // held by who sends a request

	mu   sync.Mutex
	next *round[T] // that has not begun; nil if nobody waits for it
}

type round[T any] struct {
	done   chan struct{} // closed when the answer is there
	answer T
	err    error
}

// New returns Rounds of a request, which ends after the timeout.
func New[T any](timeout time.Duration, request func(context.Context) (T, error)) *Rounds[T] {
	return &Rounds[T]{request: request, timeout: timeout, turn: make(chan struct{}, 1)}
}

// Ask returns the answer to a request that is sent after the call. The answer belongs to all who have
// asked, who MUST NOT change it. Ask returns when ctx ends, unless this caller is sending the request.
func (r *Rounds[T]) Ask(ctx context.Context) (T, error) {
	r.mu.Lock()
	if r.next == nil {
		r.next = &round[T]{done: make(chan struct{})}
	}
	own := r.next
	r.mu.Unlock()
	select {
	case <-own.done:
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	case r.turn <- struct{}{}:
		if r.begin(own) {
			// The others wait for the answer, so the end of this caller's context does not end the request.
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
			own.answer, own.err = r.request(bounded)
			cancel()
			close(own.done)
		}
		<-r.turn
		<-own.done
	}
	return own.answer, own.err
}

// begin begins a round, and reports whether it had not begun. The caller has the turn, so a round that had
// begun has ended.
func (r *Rounds[T]) begin(own *round[T]) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != own {
		return false
	}
	r.next = nil
	return true
}
