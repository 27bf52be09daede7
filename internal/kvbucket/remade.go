package kvbucket

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/messages"
)

// remadeKey marks a stream, in its metadata, that was made while logs of partitions
// existed: what it held before is lost. Its value is when that was.
const remadeKey = "laneway-made-while-logs-existed"

// Provenance returns the metadata of a bucket that is about to be made. A frontend makes
// its buckets before it creates the first topic, and with it the first log.
func Provenance(ctx context.Context, js jetstream.JetStream) (map[string]string, error) {
	if exist, err := LogsExist(ctx, js); err != nil || !exist {
		return nil, err
	}
	return map[string]string{remadeKey: time.Now().UTC().Format(time.RFC3339)}, nil
}

// LogsExist reports whether any partition has a log.
func LogsExist(ctx context.Context, js jetstream.JetStream) (bool, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the listing
	defer cancel()
	logs := js.StreamNames(ctx, jetstream.WithStreamListSubject(messages.LogWildcard))
	if _, exist := <-logs.Name(); exist {
		return true, nil
	}
	return false, logs.Err()
}

// Remade returns when a stream of Laneway's was made anew, because it was lost; false
// if it was not.
func Remade(config jetstream.StreamConfig) (time.Time, bool) {
	at, err := time.Parse(time.RFC3339, config.Metadata[remadeKey])
	return at, err == nil
}
