package produce

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/ownership"
	"laneway.dev/internal/supervisor"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
	"laneway.dev/services/frontend/core/rolewatch"
)

func TestCommittedBatchIsAnsweredWithItsOffset(t *testing.T) {
	r := start(t, Limits{})
	r.produce("first")
	epoch, batch := r.staged()
	if epoch != r.service.config.Epoch.Number() || batch.Lane != "p:producer" || batch.Number != 1 {
		t.Fatalf("epoch %d, batch %+v", epoch, batch)
	}
	r.commit(epoch, batch, 41)
	r.wantOffset("first", 41)
	if stats := r.actor.Stats(); stats.Issued != 1 || r.actor.ID() != r.id || r.actor.Topic().ID != testTopic.ID {
		t.Errorf("stats %+v", stats)
	}
}

func TestAnsweredBatchGivesItsRoomBack(t *testing.T) {
	r := start(t, Limits{PartitionBatches: 1})
	r.produce("first")
	epoch, batch := r.staged()
	r.produce("second")
	r.wantError("second", protocol.CodeOverloaded)
	drained := r.service.Drained()
	r.commit(epoch, batch, 0)
	r.wantOffset("first", 0)
	r.end(supervisor.ErrStopped) // so that the turn which answered has ended
	if c := r.service.Counts(); c.Batches != 0 || c.Bytes != 0 || c.Refused != 1 {
		t.Fatalf("counts %+v after all batches were answered", c)
	}
	receive(t, drained)
}

func TestFencedFrontendAnswersItsTicketsAndContinues(t *testing.T) {
	r := start(t, Limits{})
	r.produce("old")
	old, _ := r.staged()
	r.send(messages.FrontendSubject(r.id, old), messages.Fenced{Partition: r.id, Epoch: old + 100})
	r.wantError("old", protocol.CodeOutcomeUnknown)
	r.produce("new")
	epoch, batch := r.staged()
	if epoch <= old+100 || epoch != r.service.config.Epoch.Number() {
		t.Fatalf("epoch %d after a fence by %d", epoch, old+100)
	}
	r.send(messages.FrontendSubject(r.id, epoch), messages.Outcomes{Partition: r.id, Epoch: epoch, Outcomes: []messages.Outcome{
		{Ticket: messages.Ticket{Lane: batch.Lane, Number: batch.Number}, Code: protocol.CodeFailed},
	}})
	r.wantError("new", protocol.CodeFailed) // it came to the subject of the new epoch
}

func TestReplacedFrontendEndsInSilence(t *testing.T) {
	r := start(t, Limits{})
	r.produce("open")
	epoch, _ := r.staged()
	younger, err := ownership.Hold(t.Context(), r.js, "frontend")
	r.must(err)
	r.send(messages.FrontendSubject(r.id, epoch), messages.Fenced{Partition: r.id, Epoch: younger.Epoch()})
	receive(t, r.actor.log.Ended())
	if err := r.ending.Err(); !errors.Is(err, ownership.ErrReplaced) {
		t.Errorf("the frontend ended with %v", err)
	}
	r.actor.admit(&nats.Msg{Subject: r.id.ProduceSubject(), Reply: r.replies + "late", Sub: &nats.Subscription{}})
	r.wantSilence()
}

// A frontend that was suspended finds the answer to an older request in its mailbox, after its
// successor may have answered later ones.
func TestFrontendThatStoodStillAnswersNothingBeforeItKnowsItsSuccessor(t *testing.T) {
	r := newRig(t, Limits{})
	entered, resume := make(chan struct{}), make(chan struct{})
	var suspend atomic.Bool
	r.service.config.Inline = func() int64 {
		if suspend.CompareAndSwap(true, false) {
			close(entered)
			<-resume
		}
		return 0
	}
	r.run()
	r.claim()
	receive(t, r.actor.Ready())
	r.produce("open")
	epoch, batch := r.staged()
	suspend.Store(true)
	receive(t, entered)
	younger, err := ownership.Hold(t.Context(), r.js, "frontend")
	r.must(err)
	r.commit(epoch, batch, 0)
	receive(t, time.After(2*stillBeats*r.service.config.Times.Heartbeat))
	close(resume)
	receive(t, r.actor.log.Ended())
	r.wantSilence()
	if err := r.ending.Err(); !errors.Is(err, ownership.ErrReplaced) {
		t.Errorf("the frontend ended with %v, its successor has epoch %d", err, younger.Epoch())
	}
}

func TestEndAnswersWhatIsOpenAndWhatComesLater(t *testing.T) {
	for cause, want := range map[error]protocol.Code{
		supervisor.ErrStopped: protocol.CodeNotOwner, supervisor.ErrRenewed: protocol.CodeNotOwner, supervisor.ErrDeleted: protocol.CodeUnknownTopic,
	} {
		t.Run(cause.Error(), func(t *testing.T) {
			r := start(t, Limits{})
			r.produce("open")
			r.staged()
			r.end(cause)
			r.wantError("open", protocol.CodeOutcomeUnknown)
			r.actor.admit(&nats.Msg{Subject: r.id.ProduceSubject(), Reply: r.replies + "late"})
			r.wantError("late", want)
			if c := r.service.Counts(); c.Batches != 0 || c.Bytes != 0 {
				t.Errorf("counts %+v", c)
			}
		})
	}
}

func TestRequestThatComesBehindTheEndIsAnswered(t *testing.T) {
	r := start(t, Limits{})
	r.end(supervisor.ErrDeleted)
	late := core.Produce{
		Partition: r.id, Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "a"}}},
		Request: &request{partition: r.actor, reply: r.replies + "late"},
	}
	if over := r.actor.share.admit(0); over != nil {
		t.Fatal(over.Err)
	}
	r.must(r.actor.log.mailbox.Add(late))
	r.wantError("late", protocol.CodeNotOwner)
	receive(t, r.service.Drained())
}

func TestActorWithoutAnEpochEnds(t *testing.T) {
	r := newRig(t, Limits{})
	r.run()
	r.commit(1, messages.StageBatch{Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "a", Number: 1}, Records: 1}}}, 0) // is for readers only
	r.end(supervisor.ErrStopped)
	r.actor.Receive(t.Context(), messages.Announced{Partition: r.id, Epoch: 1})
	if stats := r.actor.Stats(); stats != (core.Stats{}) {
		t.Errorf("stats %+v", stats)
	}
}

func TestCommittedEntryThatCannotBeReadIsIgnored(t *testing.T) {
	r := start(t, Limits{})
	r.produce("open")
	epoch, batch := r.staged()
	r.actor.Receive(t.Context(), messages.Committed{Partition: r.id, Entry: []byte("damaged")})
	r.commit(epoch, batch, 0)
	r.wantOffset("open", 0)
}

func TestSilentRoleRefusesRequestsAndExplainsUnknownOutcomes(t *testing.T) {
	r := start(t, Limits{})
	r.produce("open")
	r.staged()
	r.roles.Store(&rolewatch.Status{
		Suspects: "no stager has answered", Refusal: core.NewRejection(protocol.NewError(protocol.CodeUnavailable, "no stager")),
	})
	r.produce("refused")
	r.wantError("refused", protocol.CodeUnavailable)
	r.end(supervisor.ErrStopped)
	if a := r.answered(); a.Error == nil || a.Error.Code != protocol.CodeOutcomeUnknown || !strings.Contains(a.Error.Detail, "no stager has answered") {
		t.Errorf("answer %+v", a)
	}
	if codes := r.failures; len(codes) != 2 || codes[0] != protocol.CodeUnavailable || codes[1] != protocol.CodeOutcomeUnknown {
		t.Errorf("failures %v are counted", codes)
	}
}

func TestRequestThatIsMalformedGetsNoTicket(t *testing.T) {
	r := start(t, Limits{})
	r.must(r.conn.PublishMsg(&nats.Msg{
		Subject: r.id.ProduceSubject(), Reply: r.replies + "bad", Header: nats.Header{"Nats-Rollup": {"all"}},
	}))
	r.wantError("bad", protocol.CodeHeaderNotSupported)
	if c := r.service.Counts(); c.Refused != 1 || c.Batches != 0 {
		t.Errorf("counts %+v", c)
	}
}

func TestStoppedAdmissionAdmitsNothing(t *testing.T) {
	r := newRig(t, Limits{})
	r.service.StopAdmission([]*Partition{r.actor})
	r.run()
	r.claim()
	r.end(supervisor.ErrStopped)
	select {
	case <-r.actor.Ready():
		t.Error("requests are admitted")
	default:
	}
}
