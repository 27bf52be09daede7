package client

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/messages"
)

// readBatch reads the headers of a batch.
func readBatch(m *nats.Msg) (fetched, error) {
	b := fetched{frame: m.Data}
	var err error
	if b.offset, err = natural(m, messages.HeaderOffset); err != nil {
		return b, err
	}
	if content := m.Header.Get(messages.HeaderContentType); content != messages.ContentTypeBatch {
		return b, messages.Errorf(messages.CodeInternal, "batch frames were asked for, %.80q came", content)
	}
	if b.count, err = natural(m, messages.HeaderRecords); err != nil {
		return b, err
	}
	if b.count == 0 || b.next() < b.offset {
		return b, messages.Errorf(messages.CodeInternal, "a batch of %d records at offset %d", b.count, b.offset)
	}
	if b.time, err = time.Parse(time.RFC3339Nano, m.Header.Get(messages.HeaderTime)); err != nil {
		return b, messages.Errorf(messages.CodeInternal, "header %s: %v", messages.HeaderTime, err)
	}
	return b, nil
}

func natural(m *nats.Msg, header string) (int64, error) {
	n, err := strconv.ParseInt(m.Header.Get(header), 10, 64)
	if err != nil || n < 0 {
		return 0, messages.Errorf(messages.CodeInternal, "header %s is %.40q", header, m.Header.Get(header))
	}
	return n, nil
}

// status takes a message that is no batch; true if it ends the fetch well.
func (s *session) status(m *nats.Msg) (over bool, err error) {
	if unserved(m) {
		return false, &broken{noResponders(s.subject())}
	}
	s.progress.served = true
	switch status := m.Header.Get(messages.HeaderStatus); status {
	case messages.StatusHeartbeat:
		return false, s.heartbeat(m)
	case messages.StatusEnd, messages.StatusNoRecords: // no error has these
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
			messages.Errorf(messages.CodeUnavailable, "the frontend has ended a fetch that follows"))}
	}
	return true, nil
}

// place compares where the frontend is with what has come. It also learns the
// place of a fetch that has got nothing yet, to resume it there.
func (s *session) place(m *nats.Msg) error {
	next, err := natural(m, messages.HeaderNextOffset)
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
var named = func() map[string]messages.Code {
	byName := make(map[string]messages.Code)
	for _, c := range messages.Codes() {
		byName[c.Kind().Name] = c
	}
	return byName
}()

// readError reads the error of a status. The description is the error's text,
// which begins with what its code says already.
func readError(m *nats.Msg) *messages.Error {
	name, description := m.Header.Get(messages.HeaderError), m.Header.Get(messages.HeaderDesc)
	code, known := named[name]
	if !known {
		return messages.Errorf(messages.CodeInternal, "status %.40q %.80s %.400s", m.Header.Get(messages.HeaderStatus), name, description)
	}
	detail, found := strings.CutPrefix(description, messages.NewError(code, "").Error())
	if found {
		detail = strings.TrimPrefix(detail, ": ")
	}
	return messages.NewError(code, detail)
}
