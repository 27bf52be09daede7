package frontend

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/messages"
)

// maxNamed bounds how many headers one error names.
const maxNamed = 5

// maxMessageID bounds the length of a Nats-Msg-Id.
const maxMessageID = 1024

// known are the headers with a meaning of their own; they are not kept with the record.
var known = map[string]bool{
	messages.HeaderProducer:             true,
	messages.HeaderProducerID:           true,
	messages.HeaderProducerEpoch:        true,
	messages.HeaderSequence:             true,
	messages.HeaderFirstUnacked:         true,
	messages.HeaderMessageID:            true,
	messages.HeaderExpectedStream:       true,
	messages.HeaderExpectedLastSequence: true,
	messages.HeaderExpectedLastID:       true,
	messages.HeaderRequestInfo:          true,
	messages.HeaderTraceparent:          true,
	messages.HeaderTracestate:           true,
	"Nats-Trace-Dest":                   true, // the servers on the way trace the message
	"Nats-Trace-Hop":                    true,
	"Nats-Trace-Origin-Account":         true,
}

// origin are the headers by which a JetStream stream tells of a message that it
// republishes; they ask for nothing, and stay with the record.
var origin = map[string]bool{
	"Nats-Stream":        true,
	"Nats-Subject":       true,
	"Nats-Sequence":      true,
	"Nats-Time-Stamp":    true,
	"Nats-Last-Sequence": true,
	"Nats-Msg-Size":      true,
}

// checkHeaders refuses headers of NATS and of Laneway that ask for something
// which is not done here: ignoring them would break a promise that the producer
// relies on.
func checkHeaders(header nats.Header, stream string) *messages.Error {
	var refused []string
	for name := range header {
		lower := strings.ToLower(name)
		reserved := strings.HasPrefix(lower, "nats-") || strings.HasPrefix(lower, "laneway-")
		if reserved && !known[name] && !origin[name] {
			refused = append(refused, fmt.Sprintf("%.80q", name))
		}
	}
	if len(refused) > 0 {
		slices.Sort(refused) // of many, those that come first
		return messages.NewError(messages.CodeHeaderNotSupported, strings.Join(refused[:min(len(refused), maxNamed)], ", "))
	}
	if expected := header.Get(messages.HeaderExpectedStream); expected != "" && expected != stream {
		return messages.Errorf(messages.CodeStreamMismatch, "expected %.80q, this is %s", expected, stream)
	}
	return nil
}

// userHeaders returns the headers that belong to the record, in the order of
// their names.
func userHeaders(header nats.Header) []messages.Header {
	var headers []messages.Header
	for name, values := range header {
		if known[name] {
			continue
		}
		for _, v := range values {
			headers = append(headers, messages.Header{Name: name, Value: v})
		}
	}
	slices.SortStableFunc(headers, func(a, b messages.Header) int { return strings.Compare(a.Name, b.Name) })
	return headers
}

func messageID(header nats.Header, name string) (string, *messages.Error) {
	id := header.Get(name)
	if len(id) > maxMessageID {
		return "", messages.Errorf(messages.CodeHeaderInvalid, "%s has %d bytes, allowed are %d", name, len(id), maxMessageID)
	}
	return id, nil
}

// expectationOf returns what a producer requires the last record to be. The
// replicator judges it, in ticket order.
func expectationOf(header nats.Header) (x messages.Expectation, err *messages.Error) {
	if text := header.Get(messages.HeaderExpectedLastSequence); text != "" {
		sequence, parseErr := strconv.ParseUint(text, 10, 64)
		if parseErr != nil {
			return x, messages.Errorf(messages.CodeHeaderInvalid, "%s: %.80q is no sequence", messages.HeaderExpectedLastSequence, text)
		}
		x.HasSequence, x.Sequence = true, sequence
	}
	x.MessageID, err = messageID(header, messages.HeaderExpectedLastID)
	return x, err
}

// traceOf returns the trace context of a message. One that is longer than the
// W3C allows is no reason to refuse the message; it is left out.
func traceOf(header nats.Header) messages.Trace {
	const parentLength, maxState = 55, 512
	t := messages.Trace{Parent: header.Get(messages.HeaderTraceparent), State: header.Get(messages.HeaderTracestate)}
	if len(t.Parent) > parentLength || len(t.State) > maxState {
		return messages.Trace{}
	}
	return t
}
