package client

import (
	"testing"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

// FuzzAnswers decodes answers to batches and to fetches.
func FuzzAnswers(f *testing.F) {
	ack := protocol.AppendProduceAck(nil, protocol.ProduceAck{Stream: "LANEWAY-a-0", Sequence: 8, Topic: "a", Offset: 7, Records: 1, Ticket: 3, Epoch: 2})
	failure := protocol.EncodeErrorResponse(protocol.NewError(protocol.CodeOverloaded, "detail"))
	f.Add(ack, protocol.HeaderOffset, "7", protocol.HeaderRecords, "1")
	f.Add([]byte(`{"stream":"S","records":1,"offset":-7}`), "", "", "", "")
	f.Add(failure, protocol.HeaderStatus, "429", protocol.HeaderError, "OVERLOADED")
	f.Add([]byte(nil), protocol.HeaderStatus, "503", protocol.HeaderDesc, "")
	f.Add(protocol.EncodeRecord(protocol.Record{Value: []byte("v")}), protocol.HeaderOffset, "9223372036854775807", protocol.HeaderRecords, "9223372036854775807")
	f.Add([]byte("{}"), protocol.HeaderTime, "2026-01-01T00:00:00Z", protocol.HeaderContentType, protocol.ContentTypeBatch)
	f.Fuzz(func(t *testing.T, data []byte, name, value, other, otherValue string) {
		m := &nats.Msg{Data: data, Header: nats.Header{
			protocol.HeaderOffset: {"3"}, protocol.HeaderRecords: {"2"}, protocol.HeaderTime: {"2026-01-01T00:00:00Z"},
			protocol.HeaderContentType: {protocol.ContentTypeBatch},
		}}
		m.Header[name], m.Header[other] = []string{value}, []string{otherValue}
		if b, err := readBatch(m); err == nil && (b.offset < 0 || b.count < 1 || b.next() <= b.offset) {
			t.Fatalf("a batch of %d records at offset %d", b.count, b.offset)
		}
		if err := readError(m); err.Code == protocol.CodeOK || err.Error() == "" {
			t.Fatalf("a status was decoded as %+v", err)
		}
		if ack, err := readAck(data, 1); err == nil && (ack.Error != nil || ack.Offset < 0) {
			t.Fatalf("%+v is accepted as an acknowledgement", ack)
		}
	})
}
