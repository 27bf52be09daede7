package produce

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// maxNamed bounds how many headers one error names.
const maxNamed = 5

// maxMessageID bounds the length of a Nats-Msg-Id.
const maxMessageID = 1024

// requestHeaders are the headers that control how a request is handled. They are not stored
// with the record.
var requestHeaders = map[string]bool{
	protocol.HeaderProducer:             true,
	protocol.HeaderProducerID:           true,
	protocol.HeaderProducerEpoch:        true,
	protocol.HeaderSequence:             true,
	protocol.HeaderFirstUnacked:         true,
	protocol.HeaderTopicID:              true,
	protocol.HeaderMessageID:            true,
	protocol.HeaderExpectedStream:       true,
	protocol.HeaderExpectedLastSequence: true,
	protocol.HeaderExpectedLastID:       true,
}

// transportHeaders are the headers that concern the path of a message through NATS servers.
// They are not stored with the record.
var transportHeaders = map[string]bool{
	protocol.HeaderRequestInfo:  true,
	"Nats-Trace-Dest":           true, // the servers on the way trace the message
	"Nats-Trace-Hop":            true,
	"Nats-Trace-Origin-Account": true,
}

// checkHeaders rejects reserved headers of NATS and Laneway that are not supported or are
// ambiguous. A producer that sends one relies on its effect, so ignoring it would be wrong:
// a rollup header, for example, would have to purge the stream.
func checkHeaders(header nats.Header, stream string) *protocol.Error {
	var unknown, unclear []string
	for name, values := range header {
		switch {
		case requestHeaders[name]:
			if len(values) != 1 || values[0] == "" {
				unclear = append(unclear, name)
			}
		case protocol.IsReservedHeader(name) && !transportHeaders[name] && !protocol.IsOriginHeader(name):
			unknown = append(unknown, fmt.Sprintf("%.80q", name))
		}
	}
	if len(unknown) > 0 {
		return protocol.NewError(protocol.CodeHeaderNotSupported, firstOf(unknown))
	}
	if len(unclear) > 0 {
		return protocol.Errorf(protocol.CodeHeaderInvalid, "%s must have exactly one value, which is not empty", firstOf(unclear))
	}
	if expected := header.Get(protocol.HeaderExpectedStream); expected != "" && expected != stream {
		return protocol.Errorf(protocol.CodeStreamMismatch, "expected %.80q, this is %s", expected, stream)
	}
	return nil
}

// checkTopicID rejects a message for another topic of the same name.
func checkTopicID(header nats.Header, topic protocol.Topic) *protocol.Error {
	text := header.Get(protocol.HeaderTopicID)
	if text == "" {
		return nil
	}
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return protocol.Errorf(protocol.CodeHeaderInvalid, "%s: %.40q is not a topic id", protocol.HeaderTopicID, text)
	}
	if id != topic.ID {
		return protocol.Errorf(protocol.CodeUnknownTopic, "%s with the id %d was deleted; another topic has its name",
			topic.Name, id)
	}
	return nil
}

// firstOf lists the first maxNamed names, sorted.
func firstOf(names []string) string {
	slices.Sort(names)
	return strings.Join(names[:min(len(names), maxNamed)], ", ")
}

// ownHeaders returns the headers that are stored with the record, sorted by name.
func ownHeaders(header nats.Header) []protocol.Header {
	var own []protocol.Header
	for name, values := range header {
		if requestHeaders[name] || transportHeaders[name] {
			continue
		}
		for _, v := range values {
			own = append(own, protocol.Header{Name: name, Value: v})
		}
	}
	slices.SortStableFunc(own, func(a, b protocol.Header) int { return strings.Compare(a.Name, b.Name) })
	return own
}

// isFrame reports whether the body of a message is a batch frame. It rejects a content type
// that names a batch frame in another spelling: the frame would be stored as the value of one
// record, which consumers cannot read. It also rejects headers beside a frame that would be
// lost, because only the records of a batch have headers.
func isFrame(header nats.Header) (bool, *protocol.Error) {
	types, batch := 0, false
	for name, values := range header {
		if strings.EqualFold(name, protocol.HeaderContentType) {
			types += len(values)
			batch = batch || slices.ContainsFunc(values, protocol.NamesBatch)
		}
	}
	switch {
	case !batch:
		return false, nil
	case types != 1 || header.Get(protocol.HeaderContentType) != protocol.ContentTypeBatch:
		return false, protocol.Errorf(protocol.CodeHeaderInvalid, "a batch frame must have exactly one content type header: %s: %s",
			protocol.HeaderContentType, protocol.ContentTypeBatch)
	}
	var other []string
	for name := range header {
		if !besideFrame(name) {
			other = append(other, fmt.Sprintf("%.80q", name))
		}
	}
	if len(other) > 0 {
		return false, protocol.Errorf(protocol.CodeHeaderInvalid, "%s is not allowed with a batch frame; put headers into its records", firstOf(other))
	}
	return true, nil
}

// besideFrame reports whether a message with a batch frame may have a header.
func besideFrame(name string) bool {
	switch name {
	case protocol.HeaderContentType, protocol.HeaderTraceparent, protocol.HeaderTracestate:
		return true
	}
	return requestHeaders[name] || transportHeaders[name]
}

func messageID(header nats.Header, name string) (string, *protocol.Error) {
	id := header.Get(name)
	if len(id) > maxMessageID {
		return "", protocol.Errorf(protocol.CodeHeaderInvalid, "%s has %d bytes, allowed are %d", name, len(id), maxMessageID)
	}
	return id, nil
}

// expectationOf returns what a producer requires of the last record of the partition. The
// replicator compares it with the log, in ticket order.
func expectationOf(header nats.Header) (x messages.Expectation, err *protocol.Error) {
	if text := header.Get(protocol.HeaderExpectedLastSequence); text != "" {
		sequence, parseErr := strconv.ParseUint(text, 10, 64)
		if parseErr != nil {
			return x, protocol.Errorf(protocol.CodeHeaderInvalid, "%s: %.80q is not a sequence", protocol.HeaderExpectedLastSequence, text)
		}
		x.HasSequence, x.Sequence = true, sequence
	}
	x.MessageID, err = messageID(header, protocol.HeaderExpectedLastID)
	return x, err
}

// traceOf returns the trace context of a message. One that is longer than the W3C allows is
// left out, and the message is accepted without it.
func traceOf(header nats.Header) messages.Trace {
	const parentLength, maxState = 55, 512
	t := messages.Trace{Parent: header.Get(protocol.HeaderTraceparent), State: header.Get(protocol.HeaderTracestate)}
	if len(t.Parent) > parentLength || len(t.State) > maxState {
		return messages.Trace{}
	}
	return t
}
