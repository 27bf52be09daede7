// Package streamread reads messages of a JetStream stream by their sequences, without a consumer.
// It knows nothing of what the messages mean.
package streamread

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Message is a message of a stream.
type Message struct {
	// Sequence is 0 if the headers of the message are damaged, which JetStream's checksum may not
	// notice.
	Sequence uint64
	Time     time.Time // by the clock of the stream's leader; zero if it cannot be read
	Data     []byte
}

// request is a JetStream get: a direct one of several messages, or one of the leader.
type request struct {
	Sequence    uint64 `json:"seq"`
	Batch       int    `json:"batch,omitempty"`
	MaxBytes    int    `json:"max_bytes,omitempty"`
	NextSubject string `json:"next_by_subj,omitempty"`
}

// maxBytes is the size of the messages after which an answer ends.
const maxBytes = 8 << 20

// Several returns up to limit messages, and about 8 MiB, beginning with the first one whose sequence
// is at least from. Their sequences rise, but may have holes. atEnd reports that no message follows them on the
// replica that has answered, which may lag behind the leader. Together with an error, Several
// returns the messages that it has read before it.
func Several(ctx context.Context, conn *nats.Conn, stream string, from uint64, limit int) (messages []Message, atEnd bool, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read %s: %w", stream, err)
		}
	}()
	body, err := json.Marshal(request{Sequence: max(from, 1), Batch: limit, MaxBytes: maxBytes})
	if err != nil {
		return nil, false, err
	}
	inbox := conn.NewRespInbox()
	// The channel has room for the whole answer. That of SubscribeSync takes half a MiB.
	answer := make(chan *nats.Msg, limit+1)
	sub, err := conn.ChanSubscribe(inbox, answer)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, sub.Unsubscribe()) }()
	closed := conn.StatusChanged(nats.CLOSED)
	defer conn.RemoveStatusListener(closed)
	if err := conn.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, body); err != nil {
		return nil, false, err
	}
	for {
		var msg *nats.Msg
		select {
		case msg = <-answer:
		case <-closed:
			return messages, false, nats.ErrConnectionClosed
		case <-ctx.Done():
			return messages, false, ctx.Err()
		}
		if status := msg.Header.Get("Status"); status != "" {
			return end(messages, status, msg.Header)
		}
		sequence, err := strconv.ParseUint(msg.Header.Get("Nats-Sequence"), 10, 64)
		if err != nil {
			sequence = 0
		}
		at, err := time.Parse(time.RFC3339Nano, msg.Header.Get("Nats-Time-Stamp"))
		if err != nil {
			at = time.Time{}
		}
		messages = append(messages, Message{Sequence: sequence, Time: at, Data: msg.Data})
	}
}

// end interprets the message that ends a direct get.
func end(messages []Message, status string, header nats.Header) ([]Message, bool, error) {
	switch status {
	case "204":
		return messages, header.Get("Nats-Num-Pending") == "0", nil
	case "404":
		return nil, true, nil
	case "503":
		return nil, false, nats.ErrNoResponders
	}
	return nil, false, fmt.Errorf("JetStream returned status %s %s", status, header.Get("Description"))
}

// Leader asks the leader of a stream for the message at a sequence, and whether it has one.
func Leader(ctx context.Context, conn *nats.Conn, stream string, sequence uint64) (m Message, found bool, err error) {
	return leader(ctx, conn, stream, request{Sequence: sequence})
}

// LeaderNext asks the leader of a stream for the first message with a subject from a sequence on,
// and whether it has one.
func LeaderNext(ctx context.Context, conn *nats.Conn, stream, subject string, from uint64) (m Message, found bool, err error) {
	return leader(ctx, conn, stream, request{Sequence: from, NextSubject: subject})
}

func leader(ctx context.Context, conn *nats.Conn, stream string, r request) (m Message, found bool, err error) {
	failed := func(err error) (Message, bool, error) {
		return Message{}, false, fmt.Errorf("read %s at sequence %d: %w", stream, r.Sequence, err)
	}
	body, err := json.Marshal(r)
	if err != nil {
		return failed(err)
	}
	reply, err := conn.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, body)
	if err != nil {
		return failed(err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Sequence uint64    `json:"seq"`
			Time     time.Time `json:"time"`
			Data     []byte    `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return failed(err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return Message{}, false, nil
	case answer.Error != nil:
		return failed(answer.Error)
	}
	return Message{Sequence: answer.Message.Sequence, Time: answer.Message.Time, Data: answer.Message.Data}, true, nil
}
