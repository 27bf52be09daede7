package deployment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/health"
)

// pollInterval paces the questions about a condition that is not reported by an event.
const pollInterval = 10 * time.Millisecond

// Eventually asks until the condition returns nil. When ctx ends first, the
// error is the last one.
func Eventually(ctx context.Context, condition func(context.Context) error) error {
	pace := time.NewTicker(pollInterval)
	defer pace.Stop()
	var last error
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err // what comes once ctx has ended only says so
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", last, context.Cause(ctx))
		}
	}
}

// AwaitReady returns when every process says that it is ready.
func (d *Deployment) AwaitReady(ctx context.Context) {
	d.t.Helper()
	for _, m := range d.members {
		err := Eventually(ctx, func(ctx context.Context) error { return m.ready(ctx, d.nats) })
		if err != nil {
			d.t.Fatalf("%s is not ready: %v", m.role, err)
		}
	}
}

// Ready returns why the process of a role is not ready, or nil.
func (d *Deployment) Ready(ctx context.Context, role string) error {
	d.t.Helper()
	return d.member(role).ready(ctx, d.nats)
}

// Ended says whether the process of a role has ended.
func (d *Deployment) Ended(role string) bool {
	d.t.Helper()
	return d.member(role).ended()
}

// Wait returns the exit code of the process of a role once it has ended by itself.
func (d *Deployment) Wait(ctx context.Context, role string) int {
	d.t.Helper()
	code, err := d.member(role).wait(ctx)
	if err != nil {
		d.t.Fatalf("%s: %v", role, err)
	}
	return code
}

func (m *member) ready(ctx context.Context, server string) error {
	if m.ended() {
		return errors.New("the process has ended")
	}
	if m.http == "" {
		return listens(ctx, server)
	}
	return health.Healthcheck(ctx, m.page("readyz"))
}

func (m *member) page(name string) string { return "http://" + m.http + "/" + name }

// listens says whether a NATS server takes connections and has JetStream.
func listens(ctx context.Context, address string) error {
	conn, err := nats.Connect("nats://"+address, nats.Timeout(time.Second), nats.NoReconnect())
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err = js.AccountInfo(ctx)
	return err
}

// Page returns the URL of a page (healthz, readyz, metrics) of a role's process.
func (d *Deployment) Page(role, name string) string {
	d.t.Helper()
	return d.member(role).page(name)
}
