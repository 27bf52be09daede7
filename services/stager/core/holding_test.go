package core

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// reporting are settings with reports, one upload at a time and one batch in each object.
var reporting = Settings{
	Name: "x7", ReportEvery: 500 * time.Millisecond, ObjectBytes: 1000, ObjectBatches: 1, Uploads: 1, MemoryBytes: 1 << 20,
}

// reported returns the batches that a step reports as held: lane:number.attempt.
func reported(t *testing.T, fx Effects) (held []string) {
	t.Helper()
	for _, e := range fx.Send {
		m, is := e.Message.(messages.Holding)
		if !is {
			continue
		}
		if want := messages.FrontendSubject(m.Partition, m.Epoch); e.Subject != want || m.Stager != "x7" {
			t.Errorf("a report of %q for epoch %d goes to %s, want one of x7 to %s", m.Stager, m.Epoch, e.Subject, want)
		}
		for _, h := range m.Held {
			held = append(held, fmt.Sprintf("%s.%d", name(h.Lane, h.Number), h.Attempt))
		}
	}
	return held
}

func wantReported(t *testing.T, fx Effects, want ...string) {
	t.Helper()
	if got := reported(t, fx); !slices.Equal(got, want) {
		t.Errorf("reported %v, want %v", got, want)
	}
}

func TestBatchesOfASlowUploadAreReportedUntilItEnds(t *testing.T) {
	r := newRig(t, reporting)
	again := batch("a", 2, 10)
	again.Attempt = 3
	object := r.step(stage(orders0, batch("a", 1, 10), again)).Uploads[0]
	for range 4 {
		r.wait(500 * time.Millisecond)
		wantReported(t, r.step(), "a:1.1", "a:2.3") // one is uploaded, one waits for that
		r.wait(0)
		wantReported(t, r.step())
	}
	next := r.step(done(object)).Uploads[0]
	r.wait(500 * time.Millisecond)
	wantReported(t, r.step(), "a:2.3")
	r.wait(500 * time.Millisecond)
	wantReported(t, r.step(Uploaded{Object: next, Failed: protocol.NewError(protocol.CodeStoreUnavailable, "full")}))
	r.wait(time.Hour)
	wantReported(t, r.step())
}

func TestFastUploadsAreNotReported(t *testing.T) {
	r := newRig(t, reporting)
	for number := range uint64(30) {
		fx := r.step(stage(orders0, batch("a", number+1, 10)))
		r.wait(499 * time.Millisecond)
		wantReported(t, r.step())
		r.step(done(fx.Uploads[0]))
	}
}

func TestReportsOfManyBatchesAreDivided(t *testing.T) {
	settings := reporting
	settings.MemoryBytes = 1 << 30
	r := newRig(t, settings)
	var all []messages.StageBatch
	for number := range uint64(itemsPerMessage + 1) {
		all = append(all, batch("a", number+1, 1))
	}
	newer := messages.Stage{Partition: orders0, Epoch: epoch + 1, Batches: []messages.StageBatch{batch("b", 1, 1)}}
	r.step(stage(orders0, all...), newer, stage(bills0, batch("c", 1, 1)))
	r.wait(500 * time.Millisecond)
	var sizes []string
	for _, e := range r.step().Send {
		m := e.Message.(messages.Holding)
		sizes = append(sizes, fmt.Sprintf("%s epoch %d: %d", m.Partition, m.Epoch, len(m.Held)))
	}
	want := []string{"orders/0 epoch 10: 2000", "orders/0 epoch 10: 1", "orders/0 epoch 11: 1", "bills/0 epoch 10: 1"}
	if !slices.Equal(sizes, want) {
		t.Errorf("messages %q, want %q", sizes, want)
	}
}

func TestStagerThatIsStoppingReportsWhatItUploads(t *testing.T) {
	r := newRig(t, reporting)
	r.step(stage(orders0, batch("a", 1, 10)))
	r.step(Drain{})
	r.wait(500 * time.Millisecond)
	wantReported(t, r.step(), "a:1.1")
}

func TestRefusalsNameTheStager(t *testing.T) {
	r := newRig(t, reporting)
	r.step(Abandon{})
	m := stage(orders0, batch("a", 1, 10))
	for _, e := range append(r.step(m).Send, reporting.TurnAway(&m)) {
		if got := e.Message.(messages.Refused).Stager; got != "x7" {
			t.Errorf("a refusal is from %q", got)
		}
	}
}
