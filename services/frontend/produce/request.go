package produce

import (
	"strings"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
)

// fastBatch is the end of the reply subjects of NATS' fast batch publishing, whose options
// are in the subject and not in a header.
const fastBatch = ".$FI"

// parse checks and decodes a producer's message. own returns the name of a new lane, for a
// message that has no order with others. maxPayload is NATS' limit for a message.
func parse(m *nats.Msg, topic protocol.Topic, stream string, maxPayload int64, own func() string) (core.Produce, *protocol.Error) {
	if err := checkHeaders(m.Header, stream); err != nil {
		return core.Produce{}, err
	}
	if err := checkTopicID(m.Header, topic); err != nil {
		return core.Produce{}, err
	}
	info := infoOf(m.Header)
	if strings.HasSuffix(m.Reply, fastBatch) || strings.HasSuffix(info.Reply, fastBatch) {
		return core.Produce{}, protocol.Errorf(protocol.CodeHeaderNotSupported, "fast batch publishing, requested by a reply subject that ends in %s", fastBatch)
	}
	p := core.Produce{Submission: messages.Submission{Trace: traceOf(m.Header)}}
	var err *protocol.Error
	var head protocol.FrameHead
	if p.MessageID, err = messageID(m.Header, protocol.HeaderMessageID); err != nil {
		return core.Produce{}, err
	}
	if p.Expect, err = expectationOf(m.Header); err != nil {
		return core.Produce{}, err
	}
	if p.Sequence, p.FirstUnacked, err = sequenceOf(m.Header); err != nil {
		return core.Produce{}, err
	}
	if p.Lane, err = laneOf(m, p.Sequence.ProducerID, info, own); err != nil {
		return core.Produce{}, err
	}
	if p.Payload, head, err = frameOf(m, boundSubject(m), topic.MaxRecordBytes); err != nil {
		return core.Produce{}, err
	}
	p.Records, p.Bytes = uint32(head.Records), int64(max(head.Bytes, len(p.Payload)))
	if head.Compression != protocol.CompressionNone {
		p.MaxRecordBytes = uint32(topic.MaxRecordBytes)
	}
	if limit := maxPayload - protocol.EnvelopeRoom; p.Bytes > limit {
		return core.Produce{}, protocol.Errorf(protocol.CodeMaxPayload,
			"the batch has %d bytes; with a NATS max_payload of %d it may have %d", p.Bytes, maxPayload, limit)
	}
	return p, nil
}

// frameOf returns the batch frame of a message, or a frame with the message as its only
// record. The record keeps the bound subject that it was sent to, if any.
func frameOf(m *nats.Msg, bound string, maxRecordBytes int) (frame []byte, head protocol.FrameHead, err *protocol.Error) {
	whole, err := isFrame(m.Header)
	if err != nil {
		return nil, head, err
	}
	if whole {
		if bound != "" {
			return nil, head, protocol.Errorf(protocol.CodeInvalidRequest,
				"a batch frame must be sent to the produce subject of the partition, not to %s", bound)
		}
		head, err = checkFrame(m.Data, maxRecordBytes)
		return m.Data, head, err
	}
	record := protocol.Record{Headers: ownHeaders(m.Header), Value: m.Data}
	if err := record.CheckHeaders(); err != nil {
		return nil, head, err
	}
	if bound != "" {
		record.Headers = append(record.Headers, protocol.Header{Name: protocol.HeaderSubject, Value: bound})
	}
	if size := record.Size(); size > maxRecordBytes {
		return nil, head, protocol.RecordTooLarge(size, maxRecordBytes)
	}
	frame = protocol.EncodeRecord(record)
	return frame, protocol.FrameHead{Compression: protocol.CompressionNone, Records: 1, Bytes: len(frame)}, nil
}

// checkFrame checks the records of a plain frame, and the head of a compressed one. A stager
// compares that head with the records.
func checkFrame(frame []byte, maxRecordBytes int) (protocol.FrameHead, *protocol.Error) {
	head, err := protocol.ReadFrameHead(frame)
	switch {
	case err != nil:
		return head, protocol.NewError(protocol.CodeMalformedBatch, err.Error())
	case head.Compression != protocol.CompressionNone && head.Records == 0:
		return head, protocol.NewError(protocol.CodeEmptyBatch, "")
	case head.Compression != protocol.CompressionNone:
		return head, nil
	}
	if _, err := protocol.CheckFrame(frame, maxRecordBytes); err != nil {
		return head, protocol.AsError(err)
	}
	return head, nil
}
