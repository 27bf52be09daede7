package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// stored returns the size of all objects.
func (f *fixture) stored(t *testing.T) (size int64) {
	t.Helper()
	folder := f.Objects()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if path == folder && errors.Is(err, fs.ErrNotExist) {
			return nil // no object has been stored in the bucket yet
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		size += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// compressedBatch returns a message with a frame of so many records of size bytes.
func compressedBatch(t *testing.T, c protocol.Compression, records, size int) *nats.Msg {
	t.Helper()
	var frame protocol.FrameBuilder
	for range records {
		frame.Append(protocol.Record{Value: bytes.Repeat([]byte("x"), size)})
	}
	compressed, shorter := protocol.CompressFrame(nil, frame.Bytes(), c)
	if !shorter {
		t.Fatal("the frame does not get shorter")
	}
	return &nats.Msg{Data: compressed, Header: nats.Header{protocol.HeaderContentType: {protocol.ContentTypeBatch}}}
}

// frames fetches the frames of the partition as any NATS client can.
func (f *fixture) frames(ctx context.Context, t *testing.T, accept ...protocol.Compression) (frames [][]byte) {
	t.Helper()
	inbox := f.conn.NewInbox()
	answers, err := f.conn.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	request, err := json.Marshal(protocol.FetchRequest{From: protocol.FromEarliest, Frames: true, MaxBytes: 64 << 20, Accept: accept})
	if err == nil {
		err = f.conn.PublishRequest(f.partition.FetchSubject(), inbox, request)
	}
	if err != nil {
		t.Fatal(err)
	}
	for {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get(protocol.HeaderOffset) == "" {
			if got := m.Header.Get(protocol.HeaderStatus); got != protocol.StatusEnd {
				t.Fatalf("the fetch ends with %v", m.Header)
			}
			return frames
		}
		frames = append(frames, m.Data)
	}
}

func TestCompressedLinesComeBack(t *testing.T) {
	t.Parallel() // it measures no time and no memory
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 2*time.Minute)
		f := start(t, kind, deployment.Options{})
		source, err := os.ReadFile("compression_test.go")
		if err != nil {
			t.Fatal(err)
		}
		text := bytes.Repeat(source, 200)
		for _, c := range []string{"none", "s2", "zstd"} {
			before := f.stored(t)
			f.Output(f.Laneway(ctx, "topic", "create", c), nil)
			f.Output(f.Laneway(ctx, "produce", c, "--compression", c), bytes.NewReader(text))
			got := f.Output(f.Laneway(ctx, "consume", c, "--from", "earliest"), nil)
			if sha256.Sum256([]byte(got)) != sha256.Sum256(text) {
				t.Errorf("%s: %d bytes came back, %d were sent", c, len(got), len(text))
			}
			size := f.stored(t) - before
			t.Logf("%s: %d bytes of %d are stored", c, size, len(text))
			if compressed := size < int64(len(text)/2); compressed != (c != "none") {
				t.Errorf("%s: %d bytes of %d are stored", c, size, len(text))
			}
		}
		f.verifyStore(ctx, t, 0, nil, "--nats", f.URL())
	})
}

// Only a consumer that accepts the codec gets the frame of the producer. The others get what
// they would get without compression.
func TestConsumersGetTheFramesThatTheyAccept(t *testing.T) {
	t.Parallel() // it measures no time and no memory
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		var sent [][]byte
		// As large as a plain frame may be, so that the plain form still fits into a message.
		for _, size := range []int{1000, (8<<20-16<<10)/5 - 16} {
			for _, c := range protocol.Compressions() {
				m := compressedBatch(t, c, 5, size)
				if ack := f.request(ctx, t, m); ack.Error != nil || ack.Records != 5 {
					t.Fatalf("%+v", ack)
				}
				sent = append(sent, m.Data)
			}
		}
		if got := f.frames(ctx, t, protocol.Compressions()...); !slices.EqualFunc(got, sent, bytes.Equal) {
			t.Errorf("%d frames came back, and are not what was sent", len(got))
		}
		for _, accept := range [][]protocol.Compression{nil, {protocol.CompressionZstd}, {"lz4"}} {
			for i, frame := range f.frames(ctx, t, accept...) {
				head, err := protocol.ReadFrameHead(sent[i])
				if err != nil {
					t.Fatal(err)
				}
				want := sent[i]
				if !slices.Contains(accept, head.Compression) {
					if want, err = protocol.PlainFrame(sent[i]); err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.Equal(frame, want) {
					t.Errorf("accept %q: frame %d has %d bytes, want %d", accept, i, len(frame), len(want))
				}
			}
		}
		if got := f.values(ctx, t, f.partition); len(got) != 20 || got[4] != strings.Repeat("x", 1000) || len(got[19]) < 1<<20 {
			t.Errorf("%d single records", len(got))
		}
	})
}

func TestWrongCompressedBatchIsRejectedForGood(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		good := func() *nats.Msg { return compressedBatch(t, protocol.CompressionZstd, 3, 1000) }
		damaged := good()
		clear(damaged.Data[len(damaged.Data)-10:])
		tooLarge := compressedBatch(t, protocol.CompressionS2, 1, protocol.DefaultMaxRecordBytes+1)
		bomb := compressedBatch(t, protocol.CompressionZstd, 1, 32<<20)
		for _, test := range []struct {
			m    *nats.Msg
			code protocol.Code
		}{
			{good(), protocol.CodeOK},
			{damaged, protocol.CodeMalformedBatch},
			{good(), protocol.CodeOK},
			{tooLarge, protocol.CodeMessageTooLarge},
			{bomb, protocol.CodeMaxPayload},
			{good(), protocol.CodeOK},
		} {
			switch ack := f.request(ctx, t, test.m); {
			case test.code == protocol.CodeOK && ack.Error != nil:
				t.Errorf("%v", ack.Error)
			case test.code != protocol.CodeOK && (ack.Error == nil || ack.Error.Code != test.code || ack.Error.Retryable()):
				t.Errorf("the answer is %+v, want %s", ack, test.code.Kind().Name)
			}
		}
		if got := f.values(ctx, t, f.partition); len(got) != 9 {
			t.Errorf("%d records are in the log, want 9", len(got))
		}

		// What was rejected does not hold up others.
		c := client.New(f.conn)
		defer c.Close()
		p, err := c.Producer(ctx, f.partition.Topic, client.ProducerOptions{Compression: protocol.CompressionS2})
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			if _, err := p.Publish(ctx, client.ProducerRecord{Value: []byte("a record of a producer that compresses")}); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if got := f.values(ctx, t, f.partition); len(got) != 1009 {
			t.Errorf("%d records are in the log, want 1009", len(got))
		}
	})
}
