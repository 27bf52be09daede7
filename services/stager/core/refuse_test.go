package core

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestStagerWithoutMemoryIsBusy(t *testing.T) {
	settings := small
	second := batch("a", 2, 99)
	second.MessageID = "x" // counts as well
	settings.MemoryBytes = 2 * (100 + int64(len("a")) + batchMemory)
	r := newRig(t, settings)
	third := batch("a", 3, 100)
	third.Attempt = 7
	fx := r.step(stage(orders0, batch("a", 1, 100), second, third))
	wantObjects(t, fx, []string{"a:1", "a:2"})
	wantRefused(t, fx, protocol.CodeStagerBusy, "a:3")
	if got := refusals(t, fx)[0].Attempt; got != 7 {
		t.Errorf("the refusal is of attempt %d, want 7", got)
	}
	if got := r.core.Stats().Held; got != settings.MemoryBytes {
		t.Errorf("%d bytes held, want %d", got, settings.MemoryBytes)
	}
	wantRefused(t, r.step(stage(orders0, batch("a", 4, 0))), protocol.CodeStagerBusy, "a:4")

	r.step(done(fx.Uploads[0]))
	wantObjects(t, r.step(stage(orders0, third)), []string{"a:3"})
}

func TestMemoryIsAlwaysFreed(t *testing.T) {
	r := newRig(t, small)
	failed := r.step(stage(orders0, batch("a", 1, 1000)))
	stored := r.step(stage(orders0, batch("a", 2, 1000)))
	short := batch("a", 3, 100)
	short.Remaining = 1
	r.step(stage(orders0, short))
	r.wait(time.Second)
	fx := r.step(done(stored.Uploads[0]),
		Uploaded{Object: failed.Uploads[0], Failed: protocol.NewError(protocol.CodeStoreUnavailable, "gone")})
	wantStaged(t, fx, "a:2")
	if s := r.core.Stats(); s.Held != 0 || s.Waiting != 0 || s.Uploading != 0 || s.Refused != 2 || s.Failures != 1 {
		t.Errorf("the core still holds something: %+v", s)
	}
}

func TestBatchWithoutTimeIsRefused(t *testing.T) {
	r := newRig(t, small)
	late, later := batch("a", 1, 10), batch("a", 2, 10)
	late.Remaining, later.Remaining = 0, -5
	fx := r.step(stage(orders0, late, later, batch("a", 3, 10)))
	wantRefused(t, fx, protocol.CodeDeadlinePassed, "a:1", "a:2")
	wantObjects(t, fx, []string{"a:3"})
}

func TestExpiredBatchIsNotUploaded(t *testing.T) {
	settings := small
	settings.Uploads = 1
	r := newRig(t, settings)
	first := r.step(stage(orders0, batch("a", 1, 10)))
	short := batch("a", 2, 10)
	short.Remaining = 50
	r.step(stage(orders0, short, batch("a", 3, 10)))
	r.wait(50 * time.Millisecond)
	fx := r.step(done(first.Uploads[0]))
	wantRefused(t, fx, protocol.CodeDeadlinePassed, "a:2")
	wantObjects(t, fx, []string{"a:3"})
}

func TestBatchExpiresWhileItWaits(t *testing.T) {
	settings := small
	settings.Uploads = 1
	r := newRig(t, settings)
	r.step(stage(orders0, batch("a", 1, 10)))
	short := batch("a", 2, 10)
	short.Remaining = 1000
	r.step(stage(orders0, short))
	r.wait(999 * time.Millisecond)
	r.idle("there is a millisecond left")
	r.wait(expireEvery)
	wantRefused(t, r.step(), protocol.CodeDeadlinePassed, "a:2")
	if got := r.core.Stats().Waiting; got != 0 {
		t.Errorf("%d batches wait, want none", got)
	}
}

func TestExpiredObjectTakesNoSlot(t *testing.T) {
	settings := lingering()
	settings.Uploads = 1
	r := newRig(t, settings)
	short := batch("a", 1, 10)
	short.Remaining = 250
	r.step(stage(orders0, short))
	r.wait(250 * time.Millisecond)
	fx := r.step(stage(orders0, batch("a", 2, 1000)))
	wantRefused(t, fx, protocol.CodeDeadlinePassed, "a:1")
	wantObjects(t, fx, []string{"a:2"})
}

func TestTimeLeftIsBounded(t *testing.T) {
	r := newRig(t, small)
	b := batch("a", 1, 10)
	b.Remaining = math.MaxInt64
	fx := r.step(stage(orders0, b))
	if got := fx.Uploads[0].Deadline().Sub(r.now); got != maxRemaining {
		t.Errorf("the upload has %v, want %v", got, maxRemaining)
	}
}

func TestObjectHasTheLatestDeadlineOfItsBatches(t *testing.T) {
	r := newRig(t, small)
	short, long := batch("a", 1, 10), batch("b", 1, 10)
	short.Remaining, long.Remaining = 100, 5000
	fx := r.step(stage(orders0, long, short))
	if got := fx.Uploads[0].Deadline().Sub(r.now); got != 5*time.Second {
		t.Errorf("the upload has %v, want 5s", got)
	}
}

func TestNameTooLongForAnObjectIsRefused(t *testing.T) {
	r := newRig(t, small)
	withID := batch("a", 3, 10)
	withID.MessageID = strings.Repeat("x", maxName+1)
	fx := r.step(stage(orders0, batch(strings.Repeat("x", maxName+1), 1, 10), batch("a", 2, 10), withID))
	got := refusals(t, fx)
	if len(got) != 2 || got[0].Code != protocol.CodeInvalidRequest || got[1].Code != protocol.CodeInvalidRequest {
		t.Errorf("refusals are %v, want two with %s", got, protocol.CodeInvalidRequest.Kind().Name)
	}
	wantObjects(t, fx, []string{"a:2"})
}

func TestFailedUploadRefusesAllItsBatches(t *testing.T) {
	r := newRig(t, small)
	other := stage(bills0, batch("b", 9, 10))
	other.Epoch = 11
	fx := r.step(stage(orders0, batch("a", 1, 10), batch("a", 2, 10)), other)
	reason := protocol.NewError(protocol.CodeStoreUnavailable, strings.Repeat("x", 10_000))
	fx = r.step(Uploaded{Object: fx.Uploads[0], Failed: reason})
	wantRefused(t, fx, protocol.CodeStoreUnavailable, "a:1", "a:2", "b:9")
	if len(fx.Send) != 2 {
		t.Errorf("%d messages, want one per frontend epoch", len(fx.Send))
	}
	for _, r := range refusals(t, fx) {
		if len(r.Detail) != maxDetail {
			t.Errorf("a detail of %d bytes, want %d", len(r.Detail), maxDetail)
		}
	}
}

func TestAbandonRefusesWhatWaits(t *testing.T) {
	settings := small
	settings.Uploads = 1
	r := newRig(t, settings)
	first := r.step(stage(orders0, batch("a", 1, 10)))
	r.step(stage(orders0, batch("a", 2, 10)))
	fx := r.step(Abandon{}, stage(orders0, batch("a", 3, 10)))
	// A refusal that passes: another stager may take the batches.
	wantRefused(t, fx, protocol.CodeStagerBusy, "a:3", "a:2")
	wantObjects(t, fx)
	if r.core.Ended() {
		t.Fatal("the core has ended with an upload in flight")
	}
	wantStaged(t, r.step(done(first.Uploads[0])), "a:1")
	if !r.core.Ended() {
		t.Fatal("the core has not ended")
	}
}

func TestMessagesAreBounded(t *testing.T) {
	settings := Settings{ObjectBytes: 1 << 30, ObjectBatches: 1 << 20, Uploads: 1, MemoryBytes: 1 << 30}
	r := newRig(t, settings)
	many := make([]messages.StageBatch, 2*itemsPerMessage+1)
	for i := range many {
		many[i] = batch("a", uint64(i+1), 1)
	}
	fx := r.step(stage(orders0, many...))
	for what, fx := range map[string]Effects{
		"staged":  r.step(done(fx.Uploads[0])),
		"refused": newRig(t, Settings{}).step(stage(orders0, many...)),
	} {
		var sizes []int
		for _, e := range fx.Send {
			switch m := e.Message.(type) {
			case messages.Staged:
				sizes = append(sizes, len(m.Batches))
			case messages.Refused:
				sizes = append(sizes, len(m.Refusals))
			}
		}
		if fmt.Sprint(sizes) != "[2000 2000 1]" {
			t.Errorf("%s: messages of %v items, want [2000 2000 1]", what, sizes)
		}
	}
}
