package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// lines returns records that are worth compressing.
func lines(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%d: %s", i, strings.Repeat("the same words again and again ", 5)))
	}
	return all
}

func TestBatchesAreCompressed(t *testing.T) {
	for _, c := range protocol.Compressions() {
		t.Run(string(c), func(t *testing.T) {
			laneway, f := setup(t, 1)
			f.ackAll(0)
			p := produce(t, laneway, f, client.ProducerOptions{Compression: c, BatchBytes: 10_000, Linger: time.Hour})
			want := lines(500)
			publish(t, p, want...)
			if err := p.Close(bounded(t)); err != nil {
				t.Fatal(err)
			}
			var got []string
			for range p.Summary().Batches {
				m := next(t, f.produced)
				head, err := protocol.ReadFrameHead(m.Data)
				if err != nil || head.Compression != c || head.Bytes > 10_000 || len(m.Data) > head.Bytes/4 {
					t.Errorf("%d bytes, %+v, %v", len(m.Data), head, err)
				}
				got = append(got, values(t, m.Data)...)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d records were sent, want %d", len(got), len(want))
			}
			if s := p.Summary(); s.AckedBytes != int64(len(strings.Join(want, ""))) {
				t.Errorf("%d bytes are acknowledged, which are not those of the records", s.AckedBytes)
			}
		})
	}
}

func TestBatchIsSentPlainIfCompressionIsNoUse(t *testing.T) {
	random := make([]byte, 5000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	for c, value := range map[protocol.Compression]string{"": lines(1)[0], protocol.CompressionNone: lines(1)[0], protocol.CompressionS2: string(random), protocol.CompressionZstd: string(random)} {
		laneway, f := setup(t, 1)
		f.ackAll(0)
		p := produce(t, laneway, f, client.ProducerOptions{Compression: c})
		publish(t, p, value)
		if err := p.Close(bounded(t)); err != nil {
			t.Fatal(err)
		}
		m := next(t, f.produced)
		if head, err := protocol.ReadFrameHead(m.Data); err != nil || head.Compression != protocol.CompressionNone || values(t, m.Data)[0] != value {
			t.Errorf("%q: %+v, %v", c, head, err)
		}
	}
}

func TestEveryAttemptHasTheSameFrame(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{Compression: protocol.CompressionZstd, Linger: time.Hour})
	publish(t, p, lines(100)...)
	closed := background(func() error { return p.Close(bounded(t)) })
	first := next(t, f.produced)
	f.refuse(first, protocol.NewError(protocol.CodeOverloaded, ""))
	second := next(t, f.produced)
	if !bytes.Equal(first.Data, second.Data) {
		t.Errorf("%d bytes, then %d", len(first.Data), len(second.Data))
	}
	f.ack(second, 0)
	if err := next(t, closed); err != nil {
		t.Fatal(err)
	}
}

func TestUnknownCompressionIsRefused(t *testing.T) {
	c, f := setup(t, 1)
	_, err := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{Compression: "gzip"})
	if !errors.Is(err, protocol.NewError(protocol.CodeInvalidRequest, "")) || !strings.Contains(err.Error(), "gzip") {
		t.Errorf("error %v", err)
	}
}

func TestConsumerReadsCompressedFrames(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	o := f.options()
	o.Partition, o.Offset = new(int32(0)), at(1)
	go func() {
		m := <-f.fetches
		next := int64(0)
		for _, codec := range protocol.Compressions() {
			frame, _ := protocol.CompressFrame(nil, frameOf(next, next+99), codec)
			f.sendFrame(m, next, 100, frame)
			next += 100
		}
		f.status(m, protocol.StatusEnd, next)
	}()
	r := read(t, c.Consumer(o).Records(bounded(t)))
	r.want(t, 1, 199)
	r.ended(t)
}

func TestConsumerReportsCompressedFrameThatIsDamaged(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	o := f.options()
	o.Partition, o.Offset = new(int32(0)), at(0)
	go func() {
		frame, _ := protocol.CompressFrame(nil, frameOf(0, 99), protocol.CompressionZstd)
		clear(frame[40:])
		f.sendFrame(<-f.fetches, 0, 100, frame)
	}()
	r := read(t, c.Consumer(o).Records(bounded(t)))
	if text := r.failed(t, protocol.NewError(protocol.CodeCorrupt, "")); !strings.Contains(text, "zstd") {
		t.Errorf("error %q", text)
	}
}

func TestCompressedBatchesAreLargerUnlessTheirSizeIsGiven(t *testing.T) {
	const value = 1000 // bytes; with what the frame adds, 261 fill 256 KiB and 1044 fill 1 MiB
	for name, c := range map[string]struct {
		options  client.ProducerOptions
		min, max int // records of the first batch
	}{
		"plain":              {client.ProducerOptions{}, 240, 262},
		"compressed":         {client.ProducerOptions{Compression: protocol.CompressionS2}, 960, 1048},
		"compressed, 10,000": {client.ProducerOptions{Compression: protocol.CompressionS2, BatchBytes: 10_000}, 9, 10},
	} {
		t.Run(name, func(t *testing.T) {
			laneway, f := setup(t, 1)
			f.ackAll(0)
			c.options.Linger = time.Hour
			p := produce(t, laneway, f, c.options)
			publish(t, p, slices.Repeat([]string{strings.Repeat("x", value)}, 1100)...)
			if got := len(values(t, next(t, f.produced).Data)); got < c.min || got > c.max {
				t.Errorf("the first batch has %d records, want %d to %d", got, c.min, c.max)
			}
			if err := p.Close(bounded(t)); err != nil {
				t.Fatal(err)
			}
		})
	}
}
