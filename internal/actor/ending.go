package actor

import "sync"

// Ending is how a service says that it has ended by itself, and why. The zero
// value is not usable; see NewEnding. It is safe for concurrent use.
type Ending struct {
	once sync.Once
	done chan struct{}
	err  error // valid once done is closed
}

// NewEnding returns the ending of a service that runs.
func NewEnding() *Ending { return &Ending{done: make(chan struct{})} }

// Fail ends the service. Only the first reason counts.
func (e *Ending) Fail(err error) {
	e.once.Do(func() {
		e.err = err
		close(e.done)
	})
}

// Done is closed when the service has ended by itself; Err says why.
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
