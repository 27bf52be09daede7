package client

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

// readBatch reads the headers of a batch.
func readBatch(m *nats.Msg) (fetched, error) {
	b := fetched{frame: m.Data}
	var err error
	if b.offset, err = natural(m, protocol.HeaderOffset); err != nil {
		return b, err
	}
	if content := m.Header.Get(protocol.HeaderContentType); content != protocol.ContentTypeBatch {
		return b, protocol.Errorf(protocol.CodeInternal, "batch frames were asked for, %.80q came", content)
	}
	if b.count, err = natural(m, protocol.HeaderRecords); err != nil {
		return b, err
	}
	if b.count == 0 || b.next() < b.offset {
		return b, protocol.Errorf(protocol.CodeInternal, "a batch of %d records at offset %d", b.count, b.offset)
	}
	if b.time, err = time.Parse(time.RFC3339Nano, m.Header.Get(protocol.HeaderTime)); err != nil {
		return b, protocol.Errorf(protocol.CodeInternal, "header %s: %v", protocol.HeaderTime, err)
	}
	return b, nil
}

func natural(m *nats.Msg, header string) (int64, error) {
	n, err := strconv.ParseInt(m.Header.Get(header), 10, 64)
	if err != nil || n < 0 {
		return 0, protocol.Errorf(protocol.CodeInternal, "header %s is %.40q", header, m.Header.Get(header))
	}
	return n, nil
}

// status takes a message that is no batch; true if it ends the fetch well.
func (s *session) status(m *nats.Msg) (over bool, err error) {
	if unserved(m) {
		return false, &broken{noResponders(s.subject())}
	}
	s.progress.served = true
	switch status := m.Header.Get(protocol.HeaderStatus); status {
	case protocol.StatusHeartbeat:
		return false, s.heartbeat(m)
	case protocol.StatusEnd, protocol.StatusNoRecords: // no error has these
		return s.end(m)
	}
	return false, s.failure(m)
}

// heartbeat answers a heartbeat, with what is not credited yet.
func (s *session) heartbeat(m *nats.Msg) error {
	s.creditTo = m.Reply
	s.credit()
	return s.place(m)
}

// end takes the end of what was asked for. It is not the end if more is wanted.
func (s *session) end(m *nats.Msg) (bool, error) {
	if err := s.place(m); err != nil {
		return false, err
	}
	if s.progress.options.Follow && !s.progress.complete() {
		return false, &broken{fmt.Errorf("fetch %s: %w", s.subject(),
			protocol.Errorf(protocol.CodeUnavailable, "the frontend has ended a fetch that follows"))}
	}
	return true, nil
}

// place compares where the frontend is with what has come. It also learns the
// place of a fetch that has got nothing yet, to resume it there.
func (s *session) place(m *nats.Msg) error {
	next, err := natural(m, protocol.HeaderNextOffset)
	if err != nil {
		return nil // it does not know
	}
	p := s.progress
	switch {
	case !p.placed:
		p.next, p.placed = next, true
	case next > p.next:
		return s.gap(fmt.Sprintf("offset %d was expected, the frontend is at %d", p.next, next))
	}
	return nil
}

// failure returns the error that a status stands for.
func (s *session) failure(m *nats.Msg) error {
	known := readError(m)
	err := fmt.Errorf("fetch %s: %w", s.subject(), known)
	if known.Retryable() {
		return &broken{err}
	}
	return err
}

// named are the codes of the catalogue by their names.
var named = func() map[string]protocol.Code {
	byName := make(map[string]protocol.Code)
	for _, c := range protocol.Codes() {
		byName[c.Kind().Name] = c
	}
	return byName
}()

// readError reads the error of a status. The description is the error's text,
// which begins with what its code says already.
func readError(m *nats.Msg) *protocol.Error {
	name, description := m.Header.Get(protocol.HeaderError), m.Header.Get(protocol.HeaderDesc)
	code, known := named[name]
	if !known {
		return protocol.Errorf(protocol.CodeInternal, "status %.40q %.80s %.400s", m.Header.Get(protocol.HeaderStatus), name, description)
	}
	detail, found := strings.CutPrefix(description, protocol.NewError(code, "").Error())
	if found {
		detail = strings.TrimPrefix(detail, ": ")
	}
	return protocol.NewError(code, detail)
}
