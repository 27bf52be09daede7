package client

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/protocol"
)

// reply is where the answer to an attempt goes: the subject names the attempt.
func (s *sender) reply(target int, id delivery.ID) string {
	name := make([]byte, 0, len(s.inbox)+24)
	name = strconv.AppendInt(append(name, s.inbox...), int64(target), 10)
	name = strconv.AppendUint(append(name, '.'), id.Batch, 10)
	name = strconv.AppendInt(append(name, '.'), int64(id.Attempt), 10)
	return string(name)
}

// attempt reads what reply wrote.
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

// answer takes the answer to an attempt.
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
		w.Refused(now, id, protocol.Errorf(protocol.CodeUnavailable, "nobody serves %s", s.p.targets[target].ProduceSubject()))
		return
	}
	ack, err := readAck(m.Data, b.records)
	if err != nil {
		w.Refused(now, id, err)
		return
	}
	b.ack = ack
	b.ack.Partition = s.p.targets[target].Number
	w.OK(now, id)
}

// readAck reads the answer to a batch.
func readAck(data []byte, records int) (protocol.ProduceAck, *protocol.Error) {
	var ack protocol.ProduceAck
	if err := json.Unmarshal(data, &ack); err != nil {
		return ack, protocol.Errorf(protocol.CodeInternal, "the answer is not one to a produce request: %v", err)
	}
	switch {
	case ack.Error != nil:
		return ack, ack.Error
	case ack.Stream == "" || ack.Records != records || ack.Offset < 0:
		return ack, protocol.Errorf(protocol.CodeInternal, "%d records were sent, the answer tells of %d at offset %d in stream %q",
			records, ack.Records, ack.Offset, ack.Stream)
	}
	return ack, nil
}
