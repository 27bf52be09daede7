// Package sweepstate has what sweeps of the object store leave in NATS for operators and for other
// archivers: whether an alarm stands, and since when and why no sweep was complete. The archiver that
// sweeps writes it.
package sweepstate

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/protocol"
)

const (
	// Bucket has the keys of this package, and those of services/archiver/sweeper.
	Bucket = "LANEWAY_SWEEPS"
	// alarmKey has the alarm of the last sweep that has raised one, until a later sweep finds nothing
	// wrong or an operator accepts it.
	alarmKey = "alarm"
	// endedKey has how sweeps have ended since the last complete one.
	endedKey = "ended"
	// requestTime bounds a request.
	requestTime = 10 * time.Second
)

// Ended is how the last sweep has ended that was not complete.
type Ended struct {
	// Since is when the first sweep has ended early since the last complete one.
	Since time.Time `json:"since"`
	// Reason is that of the last one.
	Reason string `json:"reason"`
	// Partition is the one that is the reason; "" if the reason is another one.
	Partition string `json:"partition,omitempty"`
}

// Alarm returns the alarm that stands, in words; "" if there is none. While one stands, the logs may
// be replaced by newer ones, which refer to objects that the present ones do not need. So no
// archiver deletes any.
func Alarm(ctx context.Context, conn *nats.Conn) (string, error) {
	found, err := Get(ctx, conn, alarmKey)
	if err != nil || !found.Exists {
		return "", err
	}
	return string(found.Value), nil
}

// LastEnded returns how the last sweep has ended; nil if it was complete, or if there was none.
func LastEnded(ctx context.Context, conn *nats.Conn) (*Ended, error) {
	found, err := Get(ctx, conn, endedKey)
	if err != nil || !found.Exists {
		return nil, err
	}
	ended := new(Ended)
	if err := json.Unmarshal(found.Value, ended); err != nil {
		return nil, protocol.Errorf(protocol.CodeCorrupt, "the key %s in bucket %s is %.80q", endedKey, Bucket, found.Value)
	}
	return ended, nil
}

// NoteAlarm keeps an alarm; "" removes the one that stands.
func NoteAlarm(ctx context.Context, js jetstream.JetStream, alarm string) error {
	return note(ctx, js, alarmKey, alarm)
}

// NoteEnded keeps how a sweep has ended early.
func NoteEnded(ctx context.Context, js jetstream.JetStream, now time.Time, reason, partition string) error {
	ended := Ended{Since: now.UTC().Truncate(time.Second), Reason: reason, Partition: partition}
	before, err := LastEnded(ctx, js.Conn())
	switch {
	case err != nil && !errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")):
		return err
	case before != nil:
		ended.Since = before.Since
	}
	value, err := json.Marshal(ended)
	if err != nil {
		return err
	}
	return note(ctx, js, endedKey, string(value))
}

// NoteComplete notes that a sweep was complete.
func NoteComplete(ctx context.Context, js jetstream.JetStream) error {
	return note(ctx, js, endedKey, "")
}

// note writes a key unless it has the value already; "" removes the key.
func note(ctx context.Context, js jetstream.JetStream, key, value string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	stands, err := Get(ctx, js.Conn(), key)
	if err != nil || stands.Exists == (value != "") && string(stands.Value) == value {
		return err
	}
	kv, err := js.KeyValue(ctx, Bucket)
	switch {
	case err != nil:
	case value == "":
		err = kv.Delete(ctx, key, jetstream.LastRevision(stands.Revision))
	default:
		_, err = kv.Update(ctx, key, []byte(value), stands.Revision)
	}
	return err
}

// Get returns what the bucket has of a key. A bucket that is missing has nothing.
func Get(ctx context.Context, conn *nats.Conn, key string) (kvbucket.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	found, err := kvbucket.Get(ctx, conn, Bucket, key)
	if kvbucket.IsMissing(err) {
		return kvbucket.Entry{}, nil
	}
	return found, err
}
