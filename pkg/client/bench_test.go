package client_test

import (
	"testing"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// BenchmarkPublish publishes records of 32 bytes to a frontend that acks at once.
func BenchmarkPublish(b *testing.B) {
	c, f := setup(b, 1)
	f.ackAll(0)
	p := produce(b, c, f, client.ProducerOptions{})
	ctx := b.Context()
	record := client.ProducerRecord{Value: make([]byte, 32)}
	b.SetBytes(32)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Publish(ctx, record); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Flush(ctx); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRecords reads records of 32 bytes from frames of 8,000.
func BenchmarkRecords(b *testing.B) {
	const perFrame = 8000
	c, f := setup(b, 1)
	f.open(0)
	var frame protocol.FrameBuilder
	for range perFrame {
		frame.Append(protocol.Record{Value: make([]byte, 32)})
	}
	go func() {
		m := <-f.fetches
		// As a frontend does: no more than the window is in flight.
		for offset := int64(0); offset < int64(b.N); offset += perFrame {
			if offset/perFrame >= 16 && (offset/perFrame)%8 == 0 {
				<-f.credits
			}
			f.sendFrame(m, offset, perFrame, frame.Bytes())
		}
	}()
	o := f.options()
	o.Follow, o.MaxRecords = true, int64(b.N)
	b.SetBytes(32)
	b.ReportAllocs()
	b.ResetTimer()
	for _, err := range c.Consumer(o).Records(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
	}
}
