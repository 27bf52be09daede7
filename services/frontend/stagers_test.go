package frontend

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
)

// repeat does something several times per report interval, until the returned function is
// called or the test ends.
func repeat(t *testing.T, do func()) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(messages.ReportInterval / 10)
		defer tick.Stop()
		for do(); ; do() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

func (r *rig) announce(name string) (stop func()) {
	r.t.Helper()
	return repeat(r.t, func() { _ = r.conn.Publish(messages.AliveSubject(name), nil) })
}

func (r *rig) wantStagers(want ...string) {
	r.t.Helper()
	r.eventually("the live stagers", func() bool { return slices.Equal(r.service.stagers.live.Load().Live, want) })
}

func TestFrontendKnowsWhichStagersAreAlive(t *testing.T) {
	r := start(t)
	r.wantStagers()
	r.announce("y")
	freeze := r.announce("x")
	r.wantStagers("x", "y")
	freeze()
	r.wantStagers("y")
}

func TestDisconnectedFrontendDeclaresNoStagerDead(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	s, err := newStagers(conn, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	s.alive(&nats.Msg{Subject: messages.AliveSubject("x")})
	conn.Close()
	for range 100 {
		s.roundEnds()
	}
	if live := s.live.Load().Live; !slices.Equal(live, []string{"x"}) {
		t.Errorf("alive are %q", live)
	}
}

// TestSilentBatchIsStagedByAnotherStager plays the stagers x and y. x takes a batch, reports
// for a while that it holds it, and freezes.
func TestSilentBatchIsStagedByAnotherStager(t *testing.T) {
	const timeout = 400 * time.Millisecond
	r := startWith(t, core.Times{Heartbeat: 20 * time.Millisecond, StageTimeout: timeout, Deadline: time.Minute})
	var created protocol.TopicResponse
	r.request(protocol.TopicAPI+"create", `{"name":"orders"}`, &created)
	r.announce("x")
	r.announce("y")
	r.wantStagers("x", "y")

	r.hold.Store(true)
	byName := make(chan messages.Stage, 100)
	for _, name := range []string{"x", "y"} {
		_, err := r.wire.Subscribe(messages.StagerSubject(name), "", func(m messages.Message) {
			if name == "x" {
				t.Error("x gets the batch that it holds once more")
			}
			byName <- m.(messages.Stage)
		})
		r.must(err)
	}
	inbox, err := r.conn.SubscribeSync(nats.NewInbox())
	r.must(err)
	r.must(r.conn.PublishRequest("laneway.produce.orders.0", inbox.Subject, []byte("apple")))
	r.eventually("the ticket", func() bool { return r.service.Stats().Outstanding == 1 })

	epoch, id := r.service.epoch.Number(), created.Topic.Partition(0)
	lane := make(chan string, 1000)
	_, err = r.wire.Subscribe(messages.SequencerSubject(id), "", func(m messages.Message) {
		if a, is := m.(messages.Advance); is {
			lane <- a.Lanes[0].Lane
		}
	})
	r.must(err)
	held := messages.Held{Ticket: messages.Ticket{Lane: <-lane, Number: 1}, Attempt: 1}
	freeze := repeat(t, func() {
		r.send(messages.FrontendSubject(id, epoch), messages.Holding{Partition: id, Epoch: epoch, Stager: "x", Held: []messages.Held{held}})
	})
	select {
	case <-byName:
		t.Fatal("the batch is staged again although x reports that it holds it")
	case <-time.After(3 * timeout):
	}
	freeze()
	select {
	case m := <-byName:
		if b := m.Batches[0]; b.Ticket != held.Ticket || b.Attempt != 2 {
			t.Errorf("staged again is %+v", b)
		}
		r.hold.Store(false)
		r.stage(m)
	case <-time.After(patience):
		t.Fatal("the batch is not staged again")
	}
	answer, err := inbox.NextMsg(patience)
	r.must(err)
	if got := string(answer.Data); got == "" || r.service.Stats().Outstanding != 0 {
		t.Errorf("answer %q, %+v", got, r.service.Stats())
	}
}
