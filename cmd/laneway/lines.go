package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// lineBuffer is what is read at once; longer lines are gathered from pieces.
const lineBuffer = 256 << 10

// lineReader splits its input at \n and nowhere else: \r is part of a line, an
// empty line is a line, and so is, unless terminated says else, what follows the last
// \n. It belongs to one
// goroutine.
type lineReader struct {
	in     *bufio.Reader
	limit  int    // bytes of a line
	last   int64  // lines that there may be; 0 is no limit
	number int64  // of the line returned last, from 1
	long   []byte // the pieces of a line longer than the buffer

	terminated bool // what follows the last \n is no line, but unfinished
	unfinished bool // there was some of it
}

// lineTooLongError says which line does not fit into a record of the topic.
type lineTooLongError struct {
	number int64
	limit  int
}

func (e *lineTooLongError) Error() string {
	return fmt.Sprintf("line %d is longer than %d bytes, which is what the topic allows for a record", e.number, e.limit)
}

// tooManyLinesError says that the input has more lines than a named producer can
// tell apart.
type tooManyLinesError struct{ limit int64 }

func (e *tooManyLinesError) Error() string {
	return fmt.Sprintf("the input has more than %d lines, with which a named producer begins to count again: split it, and give each part a name", e.limit)
}

func newLineReader(in io.Reader, limit int) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(in, lineBuffer), limit: limit}
}

// next returns a line without its \n, or io.EOF. The line is valid until the
// next call.
func (l *lineReader) next() ([]byte, error) {
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

// gather reads on to the end of a line whose first piece fills the buffer, but
// not further than the limit.
func (l *lineReader) gather(piece []byte) ([]byte, error) {
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
