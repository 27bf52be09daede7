package service

import (
	"errors"
	"fmt"
	"sync"

	"laneway.dev/internal/ownership"
)

// Ending is the end of a service by itself, with its reason. It is safe for concurrent use.
type Ending struct {
	role string
	once sync.Once
	done chan struct{}
	err  error // valid once done is closed
}

// NewEnding returns the ending of a service that runs.
func NewEnding(role string) *Ending { return &Ending{role: role, done: make(chan struct{})} }

// Fail ends the service. Only the first reason counts.
func (e *Ending) Fail(err error) {
	e.once.Do(func() {
		e.err = fmt.Errorf("%s: %w", e.role, err)
		close(e.done)
	})
}

// FailIfReplaced ends the service and returns true if err says that a younger instance has
// its role.
func (e *Ending) FailIfReplaced(err error) bool {
	replaced := errors.Is(err, ownership.ErrReplaced)
	if replaced {
		e.Fail(err)
	}
	return replaced
}

// Done is closed when the service has ended by itself; Err returns the reason.
func (e *Ending) Done() <-chan struct{} { return e.done }

// Err returns what ended the service; nil while Done is open.
func (e *Ending) Err() error {
	select {
	case <-e.done:
		return e.err
	default:
		return nil
	}
}
