package partitionlog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/kvbucket"
)

// ErrOlder means that NATS has logs of an older version of Laneway, which gave a stream to each. This
// version does not read them.
var ErrOlder = errors.New("an older version of Laneway has written logs that this version cannot read")

// What the streams of these logs have in common.
const (
	olderSubjects = "_laneway.log.>"
	olderPrefix   = "LANEWAY_LOG-"
)

// RefuseOlder waits for JetStream, and returns an error that wraps ErrOlder if it has logs of an older version.
func RefuseOlder(ctx context.Context, js jetstream.JetStream) error {
	_, err := kvbucket.Retry(ctx, func(ctx context.Context) (struct{}, error) {
		err := refuseOlder(ctx, js)
		if errors.Is(err, ErrOlder) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	})
	return err
}

func refuseOlder(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithCancel(ctx) // ends the goroutine of the lister
	defer cancel()
	streams := js.StreamNames(ctx, jetstream.WithStreamListSubject(olderSubjects))
	for name := range streams.Name() {
		if strings.HasPrefix(name, olderPrefix) {
			return fmt.Errorf("%w, such as stream %s", ErrOlder, name)
		}
	}
	if err := streams.Err(); err != nil {
		return fmt.Errorf("list the streams: %w", err)
	}
	return nil
}
