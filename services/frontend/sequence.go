package frontend

import (
	"math"
	"strconv"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/messages"
)

// sequenceOf returns the place of a batch among those of its idempotent producer;
// zero if it has no producer id. Id, epoch and sequence belong together: with a
// part of them missing the producer would rely on what is not done.
func sequenceOf(header nats.Header) (s messages.Sequence, firstUnacked int32, err *messages.Error) {
	if _, given := header[messages.HeaderProducerID]; !given {
		for _, name := range []string{messages.HeaderProducerEpoch, messages.HeaderSequence, messages.HeaderFirstUnacked} {
			if _, given := header[name]; given {
				return s, 0, messages.Errorf(messages.CodeHeaderInvalid, "%s without %s", name, messages.HeaderProducerID)
			}
		}
		return s, 0, nil
	}
	if _, given := header[messages.HeaderMessageID]; given {
		return s, 0, messages.Errorf(messages.CodeHeaderInvalid, "%s with %s: a batch is known by the one or the other",
			messages.HeaderMessageID, messages.HeaderProducerID)
	}
	var epoch, first, unacked int64
	if s.ProducerID, err = number(header, messages.HeaderProducerID, 1, math.MaxInt64); err != nil {
		return messages.Sequence{}, 0, err
	}
	if epoch, err = number(header, messages.HeaderProducerEpoch, 0, messages.MaxProducerEpoch); err != nil {
		return messages.Sequence{}, 0, err
	}
	if first, err = number(header, messages.HeaderSequence, 0, math.MaxInt32); err != nil {
		return messages.Sequence{}, 0, err
	}
	unacked = int64(messages.NotSaid)
	if _, given := header[messages.HeaderFirstUnacked]; given {
		if unacked, err = number(header, messages.HeaderFirstUnacked, 0, math.MaxInt32); err != nil {
			return messages.Sequence{}, 0, err
		}
	}
	s.ProducerEpoch, s.First = int16(epoch), int32(first)
	if unacked := int32(unacked); unacked != messages.NotSaid && !messages.SequencePrecedes(unacked, s.First) {
		return messages.Sequence{}, 0, messages.Errorf(messages.CodeHeaderInvalid, "%s is %d, which lies behind %s %d: "+
			"the batch itself is not acknowledged", messages.HeaderFirstUnacked, unacked, messages.HeaderSequence, s.First)
	}
	return s, int32(unacked), nil
}

// number reads a header that must be a decimal number within limits.
func number(header nats.Header, name string, least, most int64) (int64, *messages.Error) {
	text := header.Get(name)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, messages.Errorf(messages.CodeHeaderInvalid, "%s is %.40q, allowed are %d to %d", name, text, least, most)
	}
	return n, nil
}
