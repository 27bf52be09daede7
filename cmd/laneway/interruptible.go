package main

import (
	"context"
	"io"
)

// interruptible reads ahead from a reader that may block for ever, such as a
// terminal, and gives up when its context ends. It belongs to one goroutine;
// another, which owns the reader, stays behind if the reader blocks.
type interruptible struct {
	ctx   context.Context
	full  chan chunk
	empty chan []byte
	now   chunk  // what Read hands out
	rest  []byte // of now
}

// chunk is what one read gave.
type chunk struct {
	buffer []byte
	n      int
	err    error
}

func newInterruptible(ctx context.Context, in io.Reader) *interruptible {
	r := &interruptible{ctx: ctx, full: make(chan chunk, 1), empty: make(chan []byte, 2)}
	for range cap(r.empty) {
		r.empty <- make([]byte, lineBuffer)
	}
	go r.readAhead(in)
	return r
}

func (r *interruptible) readAhead(in io.Reader) {
	for {
		var c chunk
		select {
		case c.buffer = <-r.empty:
		case <-r.ctx.Done():
			return
		}
		c.n, c.err = in.Read(c.buffer)
		select {
		case r.full <- c:
		case <-r.ctx.Done():
			return
		}
		if c.err != nil {
			return
		}
	}
}

// Read implements io.Reader.
func (r *interruptible) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if err := r.turn(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// turn gives the buffer back and takes the next chunk.
func (r *interruptible) turn() error {
	if r.now.err != nil {
		return r.now.err
	}
	if r.now.buffer != nil {
		r.empty <- r.now.buffer
		r.now = chunk{}
	}
	if err := r.ctx.Err(); err != nil {
		return err
	}
	select {
	case r.now = <-r.full:
		r.rest = r.now.buffer[:r.now.n]
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}
