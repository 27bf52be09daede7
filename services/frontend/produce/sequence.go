package produce

import (
	"math"
	"strconv"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// sequenceOf returns the producer sequence of a batch; zero if it has no producer id. The
// headers for id, epoch and sequence are required together: a producer that sends only some
// of them expects deduplication and would not get it.
func sequenceOf(header nats.Header) (s messages.Sequence, firstUnacked int32, err *protocol.Error) {
	if _, given := header[protocol.HeaderProducerID]; !given {
		for _, name := range []string{protocol.HeaderProducerEpoch, protocol.HeaderSequence, protocol.HeaderFirstUnacked} {
			if _, given := header[name]; given {
				return s, 0, protocol.Errorf(protocol.CodeHeaderInvalid, "%s without %s", name, protocol.HeaderProducerID)
			}
		}
		return s, 0, nil
	}
	if _, given := header[protocol.HeaderMessageID]; given {
		return s, 0, protocol.Errorf(protocol.CodeHeaderInvalid, "%s and %s exclude each other",
			protocol.HeaderMessageID, protocol.HeaderProducerID)
	}
	var epoch, first, unacked int64
	if s.ProducerID, err = number(header, protocol.HeaderProducerID, 1, math.MaxInt64); err != nil {
		return messages.Sequence{}, 0, err
	}
	if epoch, err = number(header, protocol.HeaderProducerEpoch, 0, protocol.MaxProducerEpoch); err != nil {
		return messages.Sequence{}, 0, err
	}
	if first, err = number(header, protocol.HeaderSequence, 0, math.MaxInt32); err != nil {
		return messages.Sequence{}, 0, err
	}
	unacked = int64(protocol.NotSaid)
	if _, given := header[protocol.HeaderFirstUnacked]; given {
		if unacked, err = number(header, protocol.HeaderFirstUnacked, 0, math.MaxInt32); err != nil {
			return messages.Sequence{}, 0, err
		}
	}
	s.ProducerEpoch, s.First = int16(epoch), int32(first)
	if unacked := int32(unacked); unacked != protocol.NotSaid && !protocol.SequencePrecedes(unacked, s.First) {
		return messages.Sequence{}, 0, protocol.Errorf(protocol.CodeHeaderInvalid, "%s is %d, which is above %s %d; "+
			"the batch itself is not acknowledged yet", protocol.HeaderFirstUnacked, unacked, protocol.HeaderSequence, s.First)
	}
	return s, int32(unacked), nil
}

// number reads a header that must be a decimal number within limits.
func number(header nats.Header, name string, least, most int64) (int64, *protocol.Error) {
	text := header.Get(name)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, protocol.Errorf(protocol.CodeHeaderInvalid, "%s is %.40q, allowed are %d to %d", name, text, least, most)
	}
	return n, nil
}
