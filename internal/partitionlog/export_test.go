package partitionlog

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// NewShared returns the log of a partition in a journal.
func NewShared(conn *nats.Conn, js jetstream.JetStream, p protocol.Partition) *Log {
	return &Log{partition: p, source: &shared{conn, js, p, messages.LogIDOf(p)}}
}

// NewOwn returns the log of a partition in a stream of its own.
func NewOwn(conn *nats.Conn, js jetstream.JetStream, p protocol.Partition) *Log {
	return &Log{partition: p, source: &stream{conn, js, p}}
}

// ListShared lists the logs in journals.
func ListShared(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, topicID uint64) ([]Found, error) {
	return listShared(ctx, conn, js, topicID)
}
