package kvbucket

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/messages"
)

// remadeKey is a metadata key of a stream that was created while logs of partitions
// existed. Such a stream replaces one that was lost with its content. The value is the
// time of the creation.
const remadeKey = "laneway-made-while-logs-existed"

// Provenance returns the metadata for a bucket that is about to be created. Normally no
// log exists at that time: a frontend creates its buckets before it creates the first
// topic.
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
	journals := js.StreamNames(ctx, jetstream.WithStreamListSubject(messages.JournalWildcard))
	_, exist := <-journals.Name()
	return exist, journals.Err()
}

// Remade returns when a stream of Laneway was created again after its loss; false if it
// was not.
func Remade(config jetstream.StreamConfig) (time.Time, bool) {
	at, err := time.Parse(time.RFC3339, config.Metadata[remadeKey])
	return at, err == nil
}
