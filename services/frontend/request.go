package frontend

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/messages"
)

// maxLane bounds the length of a lane's key, and of a header that names one.
const maxLane = 256

// envelopeRoom is what a batch leaves of NATS' max_payload to the names, the
// trace context and the headers that it travels with from hop to hop.
const envelopeRoom = 16 << 10

// maxMessageID bounds the length of a Nats-Msg-Id.
const maxMessageID = 1024

// parse reads a producer's message: what is to be staged, and on which lane.
// own names the lane of a message that shares its order with no other, and
// maxPayload is the largest message that NATS carries.
func parse(m *nats.Msg, topic messages.Topic, stream string, maxPayload int64, own func() string) (Produce, *messages.Error) {
	if err := checkHeaders(m.Header, stream); err != nil {
		return Produce{}, err
	}
	p := Produce{Trace: traceOf(m.Header)}
	var err *messages.Error
	if p.MessageID, err = messageID(m.Header, messages.HeaderMessageID); err != nil {
		return Produce{}, err
	}
	if p.Expect, err = expectationOf(m.Header); err != nil {
		return Produce{}, err
	}
	if p.Lane, err = laneOf(m, own); err != nil {
		return Produce{}, err
	}
	if p.Payload, p.Records, err = frameOf(m, boundSubject(m, topic), topic.MaxRecordBytes); err != nil {
		return Produce{}, err
	}
	if limit := maxPayload - envelopeRoom; int64(len(p.Payload)) > limit {
		return Produce{}, messages.Errorf(messages.CodeMessageTooLarge,
			"the batch has %d bytes; with a NATS max_payload of %d it may have %d", len(p.Payload), maxPayload, limit)
	}
	return p, nil
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

// frameOf returns the batch frame that a message carries, or a frame of the one
// record that it is. The record keeps the bound subject that it was sent to, if any.
func frameOf(m *nats.Msg, bound string, maxRecordBytes int) (frame []byte, records int, err *messages.Error) {
	if m.Header.Get(messages.HeaderContentType) == messages.ContentTypeBatch {
		if bound != "" {
			return nil, 0, messages.Errorf(messages.CodeInvalidRequest,
				"a batch frame goes to the produce subject of the partition, not to %s", bound)
		}
		records, checkErr := messages.CheckFrame(m.Data, maxRecordBytes)
		if checkErr != nil {
			return nil, 0, messages.AsError(checkErr)
		}
		return m.Data, records, nil
	}
	record := messages.Record{Headers: userHeaders(m.Header), Value: m.Data}
	if bound != "" {
		record.Headers = append(record.Headers, messages.Header{Name: messages.HeaderSubject, Value: bound})
	}
	if n := len(record.Headers); n > messages.MaxHeaders {
		return nil, 0, messages.Errorf(messages.CodeHeaderInvalid, "%d headers, allowed are %d", n, messages.MaxHeaders)
	}
	for _, h := range record.Headers {
		if !h.Valid() {
			return nil, 0, messages.Errorf(messages.CodeHeaderInvalid, "%.80q cannot be delivered", h.Name)
		}
	}
	if size := record.Size(); size > maxRecordBytes {
		return nil, 0, messages.RecordTooLarge(size, maxRecordBytes)
	}
	return messages.EncodeRecord(record), 1, nil
}

// known are the headers with a meaning of their own; they are not kept with the record.
var known = map[string]bool{
	messages.HeaderProducer:             true,
	messages.HeaderMessageID:            true,
	messages.HeaderExpectedStream:       true,
	messages.HeaderExpectedLastSequence: true,
	messages.HeaderExpectedLastID:       true,
	messages.HeaderRequestInfo:          true,
	messages.HeaderTraceparent:          true,
	messages.HeaderTracestate:           true,
}

// checkHeaders refuses headers of NATS and of Laneway that ask for something
// which is not done here: ignoring them would break a promise that the producer
// relies on.
func checkHeaders(header nats.Header, stream string) *messages.Error {
	for name := range header {
		lower := strings.ToLower(name)
		reserved := strings.HasPrefix(lower, "nats-") || strings.HasPrefix(lower, "laneway-")
		if reserved && !known[name] {
			return messages.Errorf(messages.CodeHeaderNotSupported, "%.80q", name)
		}
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

// laneOf returns the key of the lane that keeps a message in order with others:
// the producer that it names; else its client, if the server tells it; else the
// reply subject without its last token, if that names one client connection;
// else a lane of its own.
func laneOf(m *nats.Msg, own func() string) (string, *messages.Error) {
	if name := m.Header.Get(messages.HeaderProducer); name != "" {
		if len(name) > maxLane {
			return "", messages.Errorf(messages.CodeHeaderInvalid, "%s has %d bytes, allowed are %d",
				messages.HeaderProducer, len(name), maxLane)
		}
		return "p:" + name, nil
	}
	if client := clientOf(m.Header.Get(messages.HeaderRequestInfo)); client != "" {
		return client, nil
	}
	if connection := connectionOf(m.Reply); connection != "" {
		return connection, nil
	}
	return "o:" + own(), nil
}

// clientOf returns the lane of the client that a Nats-Request-Info names; empty
// if it does not name one.
func clientOf(info string) string {
	if info == "" {
		return ""
	}
	var client struct {
		Account string `json:"acc"`
		ID      uint64 `json:"id"`
		Server  string `json:"server"`
		Start   string `json:"start"`
	}
	if err := json.Unmarshal([]byte(info), &client); err != nil || client.ID == 0 {
		return ""
	}
	return bounded("c:", client.Account+"/"+client.Server+"/"+strconv.FormatUint(client.ID, 10)+"/"+client.Start)
}

// connectionOf returns the lane of the connection that owns a reply subject;
// empty if the subject does not tell. The subjects of requests across an
// account import (_R_.…) and those of two tokens are new for each request.
func connectionOf(reply string) string {
	if strings.HasPrefix(reply, "_R_.") || strings.Count(reply, ".") < 2 {
		return ""
	}
	return bounded("r:", reply[:strings.LastIndexByte(reply, '.')])
}

// bounded returns prefix and key, with a long key replaced by its hash.
func bounded(prefix, key string) string {
	if len(key) > maxLane {
		sum := sha256.Sum256([]byte(key))
		key = hex.EncodeToString(sum[:])
	}
	return prefix + key
}
