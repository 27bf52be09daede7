package sweeper

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/services/archiver/core/sweep"
)

// alarmKey has the alarm of the last sweep that has raised one, until a later sweep finds nothing
// wrong or an operator accepts it.
const alarmKey = "alarm"

// Alarm returns the alarm that stands, in words; "" if there is none. While one stands, the logs may
// be replaced by newer ones, which refer to objects that the present ones do not need. So no
// archiver deletes any.
func Alarm(ctx context.Context, conn *nats.Conn) (string, error) {
	found, err := get(ctx, conn, alarmKey)
	if err != nil || !found.Exists {
		return "", err
	}
	return string(found.Value), nil
}

// noteAlarm keeps an alarm in NATS, or removes the one that stands there.
func noteAlarm(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, alarm sweep.Alarm) error {
	stands, err := get(ctx, conn, alarmKey)
	if err != nil || !stands.Exists && alarm == sweep.NoAlarm || stands.Exists && string(stands.Value) == words(alarm) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	kv, err := js.KeyValue(ctx, bucket)
	switch {
	case err != nil:
	case alarm == sweep.NoAlarm:
		err = kv.Delete(ctx, alarmKey, jetstream.LastRevision(stands.Revision))
	default:
		_, err = kv.Update(ctx, alarmKey, []byte(words(alarm)), stands.Revision)
	}
	return err
}

// words are the names of alarms in metrics and in the documentation.
func words(a sweep.Alarm) string {
	switch a {
	case sweep.LogOlder:
		return "log older"
	case sweep.StoreOlder:
		return "store older"
	}
	return ""
}
