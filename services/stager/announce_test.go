package stager

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/service"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/stager/core"
)

// announcements returns the announcements of all stagers, from now on.
func (w *world) announcements() <-chan *nats.Msg {
	w.t.Helper()
	heard := make(chan *nats.Msg, 1000)
	if _, err := w.peer.Conn().ChanSubscribe(messages.AliveWildcard, heard); err != nil {
		w.t.Fatal(err)
	}
	if err := w.peer.Flush(patience); err != nil {
		w.t.Fatal(err)
	}
	return heard
}

func TestStagerAnnouncesItselfUntilItStops(t *testing.T) {
	w := newWorld(t)
	heard := w.announcements()
	s := w.start(Config{})
	for range 3 {
		select {
		case m := <-heard:
			if got := messages.ParseAliveSubject(m.Subject); got != s.Name() || got == "" {
				t.Fatalf("announced is %q, want %q", got, s.Name())
			}
		case <-time.After(patience):
			t.Fatal("nothing is announced")
		}
	}
	// It stops announcing before it uploads what it holds.
	w.stop(s)
	if err := w.peer.Flush(patience); err != nil {
		t.Fatal(err)
	}
	for len(heard) > 0 {
		<-heard
	}
	select {
	case m := <-heard:
		t.Errorf("%s is announced after the stop", m.Subject)
	case <-time.After(2 * messages.ReportInterval):
	}
}

func TestStagerWhoseActorIsStuckIsNotAnnounced(t *testing.T) {
	w := newWorld(t)
	s := &Service{config: Config{Config: service.Config{Conn: w.connect()}}, settings: core.Settings{Name: "x7"}}
	heard := w.announcements()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { s.announce(ctx); close(ended) }()
	defer func() { cancel(); <-ended }()
	s.turned.Store(true) // once
	select {
	case <-heard:
	case <-time.After(patience):
		t.Fatal("nothing is announced after a turn")
	}
	select {
	case m := <-heard:
		t.Errorf("%s is announced", m.Subject)
	case <-time.After(3 * messages.ReportInterval):
	}
}

func TestStagersHaveNamesOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	if a, b := w.start(Config{}).Name(), w.start(Config{}).Name(); a == b || len(a) != nameLength {
		t.Errorf("the names are %q and %q", a, b)
	}
}

func TestBatchSentByNameIsStagedByThatStager(t *testing.T) {
	w := newWorld(t)
	w.start(Config{})
	named := w.start(Config{})
	for number := range uint64(20) {
		w.peer.Send([]messages.Envelope{{Subject: messages.StagerSubject(named.Name()), Message: stage(orders0, batch("a", number+1, 100))}})
	}
	w.staged(20)
	if got := named.Stats().Batches; got != 20 {
		t.Errorf("the named stager staged %d batches, want 20", got)
	}
}

func TestBatchesOnASlowStoreAreReported(t *testing.T) {
	w := newWorld(t)
	store := newGate(w.store)
	s := w.start(Config{Store: store})
	w.send(stage(orders0, batch("a", 1, 100)))
	put := store.next(t)
	for range 3 {
		select {
		case m := <-w.reports:
			if m.Stager != s.Name() || len(m.Held) != 1 || m.Held[0] != (messages.Held{Ticket: batch("a", 1, 100).Ticket, Attempt: 1}) {
				t.Fatalf("the report is %+v", m)
			}
		case <-time.After(patience):
			t.Fatal("nothing is reported")
		}
	}
	put <- nil
	w.wantPayload(w.staged(1)[0], batch("a", 1, 100))
}
