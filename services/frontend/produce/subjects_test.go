package produce

import (
	"testing"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
)

func TestARecordKeepsTheBoundSubjectItWasSentTo(t *testing.T) {
	topic := testTopic
	topic.Subjects = []string{"orders.>"}
	parseBound := func(m nats.Msg) (core.Produce, *protocol.Error) {
		return parse(&m, topic, "LANEWAY-orders-0", 8<<20, func() string { return "1" })
	}
	for subject, want := range map[string]int{"orders.new": 2, "laneway.produce.orders.0": 1} {
		p, err := parseBound(nats.Msg{Subject: subject, Header: nats.Header{"A": {"b"}}})
		if err != nil {
			t.Fatal(err)
		}
		frame, readErr := protocol.NewFrameReader(p.Payload)
		if readErr != nil {
			t.Fatal(readErr)
		}
		record, _ := frame.Next()
		frame.Close()
		if len(record.Headers) != want {
			t.Errorf("%s: headers %v, want %d", subject, record.Headers, want)
		}
		if want == 2 && record.Headers[1] != (protocol.Header{Name: protocol.HeaderSubject, Value: subject}) {
			t.Errorf("%s: headers %v, want the subject", subject, record.Headers)
		}
	}
	for name, c := range map[string]struct {
		msg  nats.Msg
		want protocol.Code
	}{
		"a subject that the client claims": {nats.Msg{Subject: "orders.new", Header: nats.Header{protocol.HeaderSubject: {"orders.old"}}}, protocol.CodeHeaderNotSupported},
		"a batch frame": {nats.Msg{
			Subject: "orders.new", Data: protocol.EncodeRecord(protocol.Record{}), Header: nats.Header{"Content-Type": {protocol.ContentTypeBatch}},
		}, protocol.CodeInvalidRequest},
		"a record that its subject makes too large": {nats.Msg{Subject: "orders.new", Data: make([]byte, 100)}, protocol.CodeMessageTooLarge},
	} {
		if _, err := parseBound(c.msg); err == nil || err.Code != c.want {
			t.Errorf("%s: error %v, want %s", name, err, c.want.Kind().Name)
		}
	}
}
