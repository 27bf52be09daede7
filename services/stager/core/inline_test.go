package core

import (
	"bytes"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func inline(b messages.StageBatch) messages.StageBatch {
	b.Inline = true
	return b
}

// stagedInline returns the batches that a step returns inline.
func stagedInline(t *testing.T, fx Effects) (names []string) {
	t.Helper()
	for _, e := range fx.Send {
		m, is := e.Message.(messages.Staged)
		if !is {
			continue
		}
		for i := range m.Batches {
			b := &m.Batches[i]
			if len(b.Inline) == 0 {
				continue
			}
			p := b.Placeholder()
			if frame, err := p.InlineFrame(); err != nil || b.Extent.Length != int64(len(frame)) || e.Subject != messages.SequencerSubject(m.Partition) {
				t.Errorf("error is %v, the batch is %+v to %s", err, b, e.Subject)
			}
			names = append(names, name(b.Lane, b.Number))
		}
	}
	return names
}

func TestInlineBatchIsReturnedAtOnce(t *testing.T) {
	r := newRig(t, Settings{ObjectBytes: 1000, ObjectBatches: 5, Uploads: 2, MemoryBytes: 1 << 20, Linger: time.Second})
	b := inline(batch("a", 1, 100))
	fx := r.step(stage(orders0, b, batch("b", 1, 100)))
	if got := stagedInline(t, fx); len(got) != 1 || got[0] != "a:1" {
		t.Fatalf("returned inline are %v", got)
	}
	staged := fx.Send[0].Message.(messages.Staged)
	if staged.Epoch != epoch || !bytes.Equal(staged.Batches[0].Inline, b.Payload) || staged.Batches[0].Ticket != b.Ticket {
		t.Errorf("sent %+v", staged)
	}
	if s := r.core.Stats(); s.Inline != 1 || s.Batches != 1 || s.Waiting != 1 {
		t.Errorf("stats are %+v", s)
	}
	r.wait(time.Second)
	wantObjects(t, r.step(), []string{"b:1"})
}

func TestBatchJoinsTheObjectThatItsLaneWaitsFor(t *testing.T) {
	r := newRig(t, Settings{ObjectBytes: 1000, ObjectBatches: 5, Uploads: 2, MemoryBytes: 1 << 20, Linger: time.Second})
	fx := r.step(stage(orders0, batch("a", 1, 100), inline(batch("a", 2, 100)), inline(batch("b", 1, 100))), stage(orders1, inline(batch("a", 1, 100))))
	if got := stagedInline(t, fx); len(got) != 2 || got[0] != "b:1" || got[1] != "a:1" {
		t.Fatalf("returned inline are %v", got)
	}
	r.wait(time.Second)
	fx = r.step()
	wantObjects(t, fx, []string{"a:1", "a:2"})
	// While the object is uploaded, another one would take longer.
	if got := stagedInline(t, r.step(stage(orders0, inline(batch("a", 3, 100))))); len(got) != 1 {
		t.Errorf("returned inline are %v", got)
	}
}

func TestLanesOfRefusedBatchesDoNotWait(t *testing.T) {
	r := newRig(t, Settings{ObjectBytes: 1000, ObjectBatches: 5, Uploads: 2, MemoryBytes: 1 << 20, Linger: time.Minute})
	late := batch("a", 1, 100)
	late.Remaining = 1
	r.step(stage(orders0, late))
	r.wait(expireEvery)
	if got := refusals(t, r.step()); len(got) != 1 {
		t.Fatalf("refused are %+v", got)
	}
	if got := stagedInline(t, r.step(stage(orders0, inline(batch("a", 2, 100))))); len(got) != 1 {
		t.Errorf("returned inline are %v", got)
	}
	if n := len(r.core.queue.lanes); n > 0 {
		t.Errorf("%d lanes wait", n)
	}
}

func TestWrongFrameIsNotReturnedInline(t *testing.T) {
	r := newRig(t, small)
	wrong := protocol.NewError(protocol.CodeInvalidRequest, "the frame is wrong")
	fx := r.step(Inspected{stage(orders0, inline(batch("a", 1, 100))), []*protocol.Error{wrong}})
	if got := refusals(t, fx); len(got) != 1 || len(stagedInline(t, fx)) > 0 {
		t.Errorf("sent %+v", fx.Send)
	}
}
