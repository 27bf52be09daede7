package client

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/protocol"
)

// send makes an attempt to send a batch. If NATS does not accept it, the window
// receives that as a refusal.
func (s *sender) send(now time.Time, target int, next delivery.Send[*batch]) {
	b, subject := next.Batch, s.p.targets[target].ProduceSubject()
	if b.span == nil {
		b.span, b.sent = s.p.startSpan(b), now
	}
	s.p.buffer.sent(next.Attempt > 0)
	err := s.conn.PublishMsg(&nats.Msg{
		Subject: subject, Reply: s.reply(target, next.ID),
		Header: s.header(next), Data: b.frame,
	})
	if err != nil {
		s.windows[target].Refused(now, next.ID, s.notSent(subject, err))
	}
}

// header returns the headers of an attempt. The producer sequence is the same in
// every attempt of a batch; first unacked is that of the moment.
func (s *sender) header(next delivery.Send[*batch]) nats.Header {
	header := make(nats.Header, len(s.headers)+4)
	for name, values := range s.headers {
		header[name] = values
	}
	header[protocol.HeaderSequence] = []string{strconv.Itoa(int(next.Sequence))}
	header[protocol.HeaderFirstUnacked] = []string{strconv.Itoa(int(next.FirstUnacked))}
	// Without a tracer, the context of the span is that of its parent.
	if sc := next.Batch.span.SpanContext(); sc.IsValid() {
		injectTrace(sc, header)
	}
	return header
}

// notSent returns the error of an attempt that failed in PublishMsg. The code says
// whether the batch may have left: UNAVAILABLE means that it has not.
func (s *sender) notSent(subject string, err error) *protocol.Error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return protocol.Errorf(protocol.CodeMaxPayload, "%s: %v", subject, err)
	case unsent(err) || errors.Is(err, nats.ErrConnectionClosed):
		return protocol.Errorf(protocol.CodeUnavailable, "%s: not sent: %v", subject, s.p.client.explain(err))
	}
	return protocol.Errorf(protocol.CodeOutcomeUnknown, "%s: sending failed: %v", subject, err)
}

// reply returns the subject for the answer to an attempt. It names the attempt, as
// in "_INBOX.x.2.17.0" for the first attempt of batch 17 of target 2, so answers
// need no table of requests, and a late answer is recognized as such.
func (s *sender) reply(target int, id delivery.ID) string {
	name := make([]byte, 0, len(s.inbox)+24)
	name = strconv.AppendInt(append(name, s.inbox...), int64(target), 10)
	name = strconv.AppendUint(append(name, '.'), id.Batch, 10)
	name = strconv.AppendInt(append(name, '.'), int64(id.Attempt), 10)
	return string(name)
}

// attempt returns the attempt that a subject of reply names.
func (s *sender) attempt(subject string) (target int, id delivery.ID, ok bool) {
	name, ours := strings.CutPrefix(subject, s.inbox)
	parts := strings.SplitN(name, ".", 3)
	if !ours || len(parts) != 3 {
		return 0, id, false
	}
	target, targetErr := strconv.Atoi(parts[0])
	number, batchErr := strconv.ParseUint(parts[1], 10, 64)
	attempt, attemptErr := strconv.Atoi(parts[2])
	ok = targetErr == nil && batchErr == nil && attemptErr == nil && target >= 0 && target < len(s.windows)
	return target, delivery.ID{Batch: number, Attempt: attempt}, ok
}

// answer passes the answer to an attempt to the window of its target. Answers to
// unknown attempts and to batches that are acknowledged already are ignored.
func (s *sender) answer(m *nats.Msg) {
	if m == nil {
		return // the subscription has ended
	}
	target, id, ok := s.attempt(m.Subject)
	if !ok {
		return
	}
	w := s.windows[target]
	b, ok := w.Batch(id)
	if !ok {
		return
	}
	now := s.clock.now()
	if unserved(m) {
		s.lookup.ask(now, target)
		w.Refused(now, id, protocol.Errorf(protocol.CodeUnavailable, "no service answers on %s", s.p.targets[target].ProduceSubject()))
		return
	}
	ack, err := readAck(m.Data, b.records)
	if err != nil {
		w.Refused(now, id, err)
		return
	}
	b.ack = ack
	b.ack.Partition = s.p.targets[target].Number
	b.took = now.Sub(b.sent)
	w.OK(now, id)
}

// readAck decodes the answer to a batch with this number of records. An answer that
// does not fit the batch is an error: another service may listen on the subject,
// such as a JetStream stream, which acknowledges messages of its own.
func readAck(data []byte, records int) (protocol.ProduceAck, *protocol.Error) {
	var ack protocol.ProduceAck
	if err := json.Unmarshal(data, &ack); err != nil {
		return ack, protocol.Errorf(protocol.CodeInternal, "the answer is not one to a produce request: %v", err)
	}
	switch {
	case ack.Error != nil:
		return ack, ack.Error
	case ack.Stream == "" || ack.Records != records || ack.Offset < 0:
		return ack, protocol.Errorf(protocol.CodeInternal, "%d records were sent, but the answer acknowledges %d at offset %d in stream %q",
			records, ack.Records, ack.Offset, ack.Stream)
	}
	return ack, nil
}
