package stager

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/service"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/stager/core"
)

func TestStopUploadsWhatNATSHasDelivered(t *testing.T) {
	w := newWorld(t)
	s := w.start(Config{Linger: time.Hour})
	const count = 500
	for i := range count {
		w.send(stage(orders0, batch("a", uint64(i+1), 100)))
	}
	w.stop(s)
	for _, b := range w.staged(count) {
		w.wantPayload(b, batch("a", b.Number, 100))
	}
	// The subscription has ended: no stager takes this one.
	w.send(stage(orders0, batch("a", count+1, 100)))
	if err := s.config.Conn.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats(); got.Batches != count || got.Refused != 0 {
		t.Errorf("stats are %+v, want %d batches", got, count)
	}
}

func TestStopWaitsForUploads(t *testing.T) {
	w := newWorld(t)
	store := newGate(w.store)
	s := w.start(Config{Store: store, Uploads: 1})
	w.send(stage(orders0, batch("a", 1, 100)))
	first := store.next(t)
	w.send(stage(orders0, batch("a", 2, 100)))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		w.stop(s)
	}()
	first <- nil
	store.next(t) <- nil
	wait(t, "the stop", stopped)
	got := w.staged(2)
	w.wantPayload(got[0], batch("a", 1, 100))
	w.wantPayload(got[1], batch("a", 2, 100))
}

func TestStopWithoutTimeRefusesWhatIsNotUploaded(t *testing.T) {
	w := newWorld(t)
	store := newGate(w.store) // no put is ever let through
	s := w.start(Config{Store: store, Uploads: 1})
	w.send(stage(orders0, batch("a", 1, 100)))
	store.next(t)
	w.send(stage(orders0, batch("a", 2, 100)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	taken := s.sub.StatusChanged(nats.SubscriptionClosed)
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(ctx) }()
	select {
	case <-taken:
	case <-time.After(patience):
		t.Fatal("the subscription has not ended")
	}
	cancel()
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	refused := make(map[uint64]protocol.Code)
	for len(refused) < 2 {
		for _, r := range answer[messages.Refused](w).Refusals {
			refused[r.Number] = r.Code
		}
	}
	// Busy is what makes the frontend ask another stager.
	if refused[1] != protocol.CodeStagerBusy || refused[2] != protocol.CodeStagerBusy {
		t.Errorf("refused are %v, want 1 and 2 with %d", refused, protocol.CodeStagerBusy)
	}
}

func TestStopWithoutNATSEnds(t *testing.T) {
	w := newWorld(t)
	store := newGate(w.store)
	s := w.start(Config{Store: store})
	w.send(stage(orders0, batch("a", 1, 100)))
	put := store.next(t)
	w.loseNATS(s)
	put <- nil
	w.stop(s)
	if got := s.Stats(); got.Batches != 1 {
		t.Errorf("stats are %+v, want the upload finished", got)
	}
}

func TestMessageAfterTheEndIsRefused(t *testing.T) {
	w := newWorld(t)
	s := w.start(Config{})
	w.stop(s)
	s.deliver(stage(orders0, batch("a", 1, 100)))
	if r := answer[messages.Refused](w).Refusals[0]; r.Code != protocol.CodeStagerBusy {
		t.Errorf("the refusal is %+v", r)
	}
	if err := s.mailbox.Offer(core.Drain{}); !errors.Is(err, actor.ErrClosed) {
		t.Error("the mailbox is open")
	}
}

func TestRestOfTheMailboxIsRefused(t *testing.T) {
	w := newWorld(t)
	s := &Service{
		settings: Config{}.orDefaults().settings(),
		Base:     &service.Base{Wire: transport.NewConnection(w.connect(), zap.NewNop())},
		mailbox:  actor.NewMailbox[core.Event](2),
	}
	s.deliver(stage(orders0, batch("a", 1, 100)))
	s.refuseRest(core.NewCore(s.settings))
	if r := answer[messages.Refused](w).Refusals[0]; r.Number != 1 || r.Code != protocol.CodeStagerBusy {
		t.Errorf("the refusal is %+v", r)
	}
	if got := s.queued.Load(); got != 0 {
		t.Errorf("%d bytes still count as queued", got)
	}
}
