package actor

import "context"

// Routine is the goroutine of an actor that has one of its own. The zero value is ready for use.
type Routine struct {
	cancel context.CancelCauseFunc
	cause  func() error
	ended  chan struct{}
}

// Go starts run on the goroutine. run MUST return when its context ends, for a cause that its caller has
// given, and release all resources of the actor before that. Go MUST be called before End.
func (r *Routine) Go(run func(ctx context.Context)) {
	var ctx context.Context
	ctx, r.cancel = context.WithCancelCause(context.Background())
	r.cause = func() error { return context.Cause(ctx) }
	r.ended = make(chan struct{})
	go func() {
		defer close(r.ended)
		run(ctx)
	}()
}

// End ends the context of the goroutine.
func (r *Routine) End(cause error) { r.cancel(cause) }

// Cause returns why the goroutine ends; nil before End.
func (r *Routine) Cause() error { return r.cause() }

// Await returns when the goroutine has ended.
func (r *Routine) Await() { <-r.ended }

// Ended returns a channel that is closed once the goroutine has ended.
func (r *Routine) Ended() <-chan struct{} { return r.ended }
