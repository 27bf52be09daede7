package sweeper

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/sweepstate"
)

// Accept removes the records and the alarm of all sweeps, so that the next sweep goes by the logs as they are, and
// logs that are older than the store take records again. An operator accepts by that that logs and store are from different times.
func Accept(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, store objectstore.Store) error {
	_, _, revision, err := newest(ctx, conn)
	if err != nil {
		return err
	}
	if revision > 0 {
		kv, err := js.KeyValue(ctx, sweepstate.Bucket)
		if err == nil {
			err = kv.Delete(ctx, newestKey)
		}
		if err != nil {
			return err
		}
	}
	errs := []error{sweepstate.NoteAlarm(ctx, js, ""), sweepstate.NoteBehind(ctx, js, nil), sweepstate.NoteComplete(ctx, js)}
	for o, err := range store.List(ctx, string(objectstore.KindRecord)) {
		if err == nil {
			err = store.Delete(ctx, o.Key)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
