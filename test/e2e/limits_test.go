package e2e

import (
	"bytes"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// largeRecords is of how many records largeBatch is: none exceeds what a topic allows
// by default.
const largeRecords = 5

// largeBatch returns a frame of about so many bytes.
func largeBatch(size int) []byte {
	var frame protocol.FrameBuilder
	for range largeRecords {
		frame.Append(protocol.Record{Value: bytes.Repeat([]byte("x"), size/largeRecords-16)})
	}
	return frame.Bytes()
}

func TestLargestBatchIsAccepted(t *testing.T) {
	t.Parallel() // it measures no time and no memory
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		c := client.New(f.conn)
		defer c.Close()
		topic, err := c.Admin().CreateTopic(ctx, protocol.TopicConfig{Name: "large", MaxRecordBytes: protocol.MaxRecordBytesLimit})
		if err != nil {
			t.Fatal(err)
		}
		send := func(frame []byte) protocol.ProduceAck {
			t.Helper()
			return f.request(ctx, t, &nats.Msg{
				Subject: topic.Partition(0).ProduceSubject(), Data: frame,
				Header: nats.Header{protocol.HeaderContentType: {protocol.ContentTypeBatch}},
			})
		}
		const maxPayload, room = 8 << 20, 16 << 10
		if ack := send(largeBatch(maxPayload - room/2)); ack.Error == nil || ack.Error.Code != protocol.CodeMaxPayload {
			t.Errorf("a batch without room for its envelope is answered %+v, want MAX_PAYLOAD_EXCEEDED", ack)
		}
		if ack := send(largeBatch(maxPayload - room)); ack.Error != nil {
			t.Fatal(ack.Error)
		}
		records := 0
		for r, err := range c.Consumer(client.ConsumerOptions{Topic: topic.Name}).Records(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Value) != (maxPayload-room)/largeRecords-16 {
				t.Errorf("record %d has %d bytes", r.Offset, len(r.Value))
			}
			records++
		}
		if records != largeRecords {
			t.Errorf("%d records came back, want %d", records, largeRecords)
		}
	})
}
