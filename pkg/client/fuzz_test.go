package client

import (
	"testing"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/messages"
)

// FuzzAnswers reads what a server may answer: to a batch, and to a fetch.
func FuzzAnswers(f *testing.F) {
	ack := messages.AppendProduceAck(nil, messages.ProduceAck{Stream: "LANEWAY-a-0", Sequence: 8, Topic: "a", Offset: 7, Records: 1, Ticket: 3, Epoch: 2})
	failure := messages.EncodeErrorResponse(messages.NewError(messages.CodeOverloaded, "detail"))
	f.Add(ack, messages.HeaderOffset, "7", messages.HeaderRecords, "1")
	f.Add([]byte(`{"stream":"S","records":1,"offset":-7}`), "", "", "", "")
	f.Add(failure, messages.HeaderStatus, "429", messages.HeaderError, "OVERLOADED")
	f.Add([]byte(nil), messages.HeaderStatus, "503", messages.HeaderDesc, "")
	f.Add(messages.EncodeRecord(messages.Record{Value: []byte("v")}), messages.HeaderOffset, "9223372036854775807", messages.HeaderRecords, "9223372036854775807")
	f.Add([]byte("{}"), messages.HeaderTime, "2026-01-01T00:00:00Z", messages.HeaderContentType, messages.ContentTypeBatch)
	f.Fuzz(func(t *testing.T, data []byte, name, value, other, otherValue string) {
		m := &nats.Msg{Data: data, Header: nats.Header{
			messages.HeaderOffset: {"3"}, messages.HeaderRecords: {"2"}, messages.HeaderTime: {"2026-01-01T00:00:00Z"},
			messages.HeaderContentType: {messages.ContentTypeBatch},
		}}
		m.Header[name], m.Header[other] = []string{value}, []string{otherValue}
		if b, err := readBatch(m); err == nil && (b.offset < 0 || b.count < 1 || b.next() <= b.offset) {
			t.Fatalf("a batch of %d records at offset %d", b.count, b.offset)
		}
		if err := readError(m); err.Code == messages.CodeOK || err.Error() == "" {
			t.Fatalf("a status became %+v", err)
		}
		if ack, err := readAck(data, 1); err == nil && (ack.Error != nil || ack.Offset < 0) {
			t.Fatalf("%+v is taken for an acknowledgement", ack)
		}
	})
}
