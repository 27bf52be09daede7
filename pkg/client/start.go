package client

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/messages"
)

const (
	startPause    = 20 * time.Millisecond
	startPauseMax = time.Second
	// checkTimeout bounds the round trip to the NATS server.
	checkTimeout = 10 * time.Second
)

// start is the first batch of a partition. Alone it is sent again while nobody
// receives it, and nothing is sent behind it until somebody does: otherwise a
// frontend that comes up in between would get the second batch before the first.
type start struct {
	batch    *batch
	began    time.Time
	pause    time.Duration
	attempts int
}

func (w *window) isStart(b *batch) bool { return w.start != nil && w.start.batch == b }

// attempted goes on after the start was published, or could not be.
func (w *window) attempted(err error) {
	switch {
	case err == nil:
		w.check()
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionReconnecting):
		w.again(err)
	default:
		w.fail(w.start.batch, err)
	}
}

// check finds out that somebody received the start without waiting for the
// answer: had nobody, the server's word of it would come before the end of a
// round trip.
func (w *window) check() {
	w.start.attempts++
	attempt := w.start.attempts
	w.checks.Go(func() {
		ctx, cancel := context.WithTimeout(w.ctx, checkTimeout)
		defer cancel()
		if w.p.client.conn.FlushWithContext(ctx) != nil {
			return // then the answer itself decides
		}
		select {
		case w.passed <- attempt:
		case <-w.ctx.Done():
		}
	})
}

// confirm takes the end of a round trip.
func (w *window) confirm(attempt int) {
	if w.start != nil && w.start.attempts == attempt {
		w.serving(w.start.batch)
	}
}

// serving notes that somebody receives what is sent to the partition of b.
func (w *window) serving(b *batch) {
	w.served[b.target] = true
	w.start = nil
	b.forget()
}

// again sends the start another time, after a pause, unless it took too long.
func (w *window) again(err error) {
	s := w.start
	s.attempts++ // the round trip of this attempt says nothing any more
	s.pause = min(max(2*s.pause, startPause), startPauseMax)
	if time.Since(s.began)+s.pause > w.p.options.StartTimeout {
		w.fail(s.batch, err)
		return
	}
	w.retry.Reset(s.pause)
}

// readAck reads the answer to a batch.
func readAck(data []byte, b *batch) (messages.ProduceAck, error) {
	var ack messages.ProduceAck
	if err := json.Unmarshal(data, &ack); err != nil {
		return ack, messages.Errorf(messages.CodeInternal, "the answer is not one to a produce request: %v", err)
	}
	switch {
	case ack.Error != nil:
		return ack, ack.Error
	case ack.Stream == "" || ack.Records != b.records || ack.Offset < 0:
		return ack, messages.Errorf(messages.CodeInternal, "%d records were sent, the answer tells of %d at offset %d in stream %q",
			b.records, ack.Records, ack.Offset, ack.Stream)
	}
	return ack, nil
}
