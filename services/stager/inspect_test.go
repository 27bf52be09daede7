package stager

import (
	"bytes"
	"strings"
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/stager/core"
)

// compressed returns a batch of so many records of 1000 bytes in a compressed frame.
func compressed(t *testing.T, c protocol.Compression, lane string, number uint64, records int) messages.StageBatch {
	t.Helper()
	var frame protocol.FrameBuilder
	for range records {
		frame.Append(protocol.Record{Value: bytes.Repeat([]byte{'x'}, 1000)})
	}
	b := batch(lane, number, 0)
	b.Records, b.MaxRecordBytes = uint32(records), 1000
	var ok bool
	if b.Payload, ok = protocol.CompressFrame(nil, frame.Bytes(), c); !ok {
		t.Fatal("the frame is not shorter")
	}
	return b
}

func TestCompressedFramesAreStoredAsTheyAre(t *testing.T) {
	w := newWorld(t)
	w.start(Config{})
	for i, c := range protocol.Compressions() {
		b := compressed(t, c, "a", uint64(i+1), 3)
		w.send(stage(orders0, b))
		w.wantPayload(w.staged(1)[0], b)
	}
}

// The other batches of the message are staged, and the wrong one is in no object.
func TestWrongCompressedFrameIsRefusedAlone(t *testing.T) {
	for name, test := range map[string]struct {
		wrong func(*messages.StageBatch)
		code  protocol.Code
		says  string
	}{
		"damaged":            {func(b *messages.StageBatch) { clear(b.Payload[len(b.Payload)-10:]) }, protocol.CodeMalformedBatch, ""},
		"not a frame":        {func(b *messages.StageBatch) { b.Payload = []byte("text") }, protocol.CodeMalformedBatch, ""},
		"other records":      {func(b *messages.StageBatch) { b.Records = 2 }, protocol.CodeMalformedBatch, "3 records, its ticket is for 2"},
		"a record too large": {func(b *messages.StageBatch) { b.MaxRecordBytes = 999 }, protocol.CodeMessageTooLarge, "1000 bytes, the topic allows 999"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.start(Config{})
			good, wrong, plain := compressed(t, protocol.CompressionZstd, "a", 1, 3), compressed(t, protocol.CompressionZstd, "a", 2, 3), batch("a", 3, 10)
			wrong.Payload = bytes.Clone(wrong.Payload)
			test.wrong(&wrong)
			w.send(stage(orders0, good, wrong, plain))
			r := answer[messages.Refused](w)
			if len(r.Refusals) != 1 || r.Refusals[0].Number != 2 || r.Refusals[0].Code != test.code || !strings.Contains(r.Refusals[0].Detail, test.says) {
				t.Errorf("refused %+v", r)
			}
			if r.Refusals[0].Code.Kind().Retryable {
				t.Error("the refusal is retryable")
			}
			staged := w.staged(2)
			w.wantPayload(staged[0], good)
			w.wantPayload(staged[1], plain)
			w.stop(s)
			if got := s.Stats(); got.Batches != 2 || got.Refused != 1 || got.Held != 0 {
				t.Errorf("stats are %+v", got)
			}
			if n := s.queued.Load(); n != 0 {
				t.Errorf("%d bytes are queued", n)
			}
		})
	}
}

func TestStopWaitsForInspections(t *testing.T) {
	w := newWorld(t)
	s := w.start(Config{})
	for range cap(s.inspector.slots) {
		s.inspector.slots <- struct{}{}
	}
	b := compressed(t, protocol.CompressionS2, "a", 1, 3)
	s.deliver(stage(orders0, b))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		w.stop(s)
	}()
	for !s.inspector.isClosed() {
		if err := w.peer.Flush(patience); err != nil {
			t.Fatal(err)
		}
	}
	s.deliver(stage(orders0, compressed(t, protocol.CompressionS2, "a", 2, 3)))
	if r := answer[messages.Refused](w); r.Refusals[0].Number != 2 || r.Refusals[0].Code != protocol.CodeStagerBusy {
		t.Errorf("refused %+v", r)
	}
	for range cap(s.inspector.slots) {
		<-s.inspector.slots
	}
	w.wantPayload(w.staged(1)[0], b)
	wait(t, "the stager stops", stopped)
}

func (n *inspector) isClosed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.closed
}

func TestInspectionsAreBounded(t *testing.T) {
	n := newInspector()
	for range cap(n.slots) {
		n.slots <- struct{}{} // no inspection begins
	}
	for i := range mailboxSize {
		if !n.start(stage(orders0), func(core.Inspected) {}) {
			t.Fatalf("message %d is turned away", i)
		}
	}
	if n.start(stage(orders0), func(core.Inspected) {}) {
		t.Error("one more message is taken than fit into the mailbox")
	}
	for range cap(n.slots) {
		<-n.slots
	}
	n.close(t.Context())
	if n.open != 0 {
		t.Errorf("%d messages are open after all were inspected", n.open)
	}
}
