package produce

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// lineBuffer is the size of one read, in bytes. Longer lines are put together.
const lineBuffer = 256 << 10

// LineReader splits its input into lines at \n and nowhere else: \r is part of a
// line, and an empty line is a line. What follows the last \n is a line too, unless
// terminated is set. It belongs to one goroutine.
type LineReader struct {
	in     *bufio.Reader
	limit  int    // of the length of a line, in bytes
	last   int64  // highest number of a line; 0 for no limit
	number int64  // of the line that was returned last, from 1
	long   []byte // a line that is longer than the buffer

	terminated bool // ignore what follows the last \n
	unfinished bool // something followed it and was ignored
}

// lineTooLongError is a line that is longer than the topic allows for a record.
type lineTooLongError struct {
	number int64
	limit  int
}

func (e *lineTooLongError) Error() string {
	return fmt.Sprintf("line %d is longer than %d bytes, which is what the topic allows for a record", e.number, e.limit)
}

// tooManyLinesError is an input with more lines than a named producer has sequences.
type tooManyLinesError struct{ limit int64 }

func (e *tooManyLinesError) Error() string {
	return fmt.Sprintf("the input has more than %d lines, with which a named producer begins to count again: split it, and give each part a name", e.limit)
}

// NewLineReader returns a reader whose lines have at most limit bytes, without the
// \n. A longer line is an error.
func NewLineReader(in io.Reader, limit int) *LineReader {
	return &LineReader{in: bufio.NewReaderSize(in, lineBuffer), limit: limit}
}

// Next returns a line without its \n, or io.EOF at the end. The line is valid until
// the next call.
func (l *LineReader) Next() ([]byte, error) {
	line, err := l.in.ReadSlice('\n')
	l.number++
	if errors.Is(err, bufio.ErrBufferFull) {
		line, err = l.gather(line)
	}
	switch {
	case err == nil:
		line = line[:len(line)-1]
	case !errors.Is(err, io.EOF):
		return nil, err
	case len(line) == 0:
		l.number--
		return nil, io.EOF
	case l.terminated:
		l.number--
		l.unfinished = true
		return nil, io.EOF
	}
	if l.last > 0 && l.number > l.last {
		return nil, &tooManyLinesError{l.last}
	}
	if len(line) > l.limit {
		return nil, &lineTooLongError{number: l.number, limit: l.limit}
	}
	return line, nil
}

// gather reads the rest of a line whose first piece fills the buffer. It stops at the
// limit, because the line may be endless.
func (l *LineReader) gather(piece []byte) ([]byte, error) {
	l.long = append(l.long[:0], piece...)
	err := bufio.ErrBufferFull
	for errors.Is(err, bufio.ErrBufferFull) && len(l.long) <= l.limit {
		piece, err = l.in.ReadSlice('\n')
		l.long = append(l.long, piece...)
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, &lineTooLongError{number: l.number, limit: l.limit}
	}
	return l.long, err
}

// interruptible makes a reader that may block forever, such as a terminal, return
// when a context ends. It belongs to one goroutine. Another goroutine owns the reader
// and reads ahead; if the reader blocks at the end of the context, that goroutine
// stays until the process ends.
type interruptible struct {
	ctx   context.Context
	full  chan chunk
	empty chan []byte
	now   chunk  // what Read returns from
	rest  []byte // the part of now that Read has not returned yet
}

// chunk is the result of one read.
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

// turn returns the buffer to the other goroutine and takes the next chunk.
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
