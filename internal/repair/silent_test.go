package repair

import (
	"errors"
	"testing"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestEvidenceThatDoesNotAnswerProvesNoLoss(t *testing.T) {
	var p Partition
	p.addSilent(protocol.Errorf(protocol.CodeCorrupt, "damaged"))
	if p.Silent != nil {
		t.Errorf("evidence that is damaged counts as silent: %v", p.Silent)
	}
	late := errors.New("no answer")
	if p.addSilent(late); !errors.Is(p.Silent, late) {
		t.Errorf("evidence that did not answer counts as %v", p.Silent)
	}
}

func TestASealedLogIsContinuedAlsoIfItIsWhole(t *testing.T) {
	w, _ := damagedWorld(t)
	w.setMark(messages.Mark{Written: messages.Position{Sequence: 5, Offset: 8}, Reserved: messages.Position{Sequence: 5, Offset: 8}})
	if report := w.inspect(0, 1).Report; report.Damage() {
		t.Fatalf("damaged are %+v", report.Partitions)
	}
	w.must(partitionlog.New(w.conn, w.js, w.topic.Partition(0)).Seal(w.ctx))
	if report := w.inspect(0, 1).Report; len(report.Partitions[0].Findings) != 1 || len(report.Partitions[1].Findings) != 0 {
		t.Errorf("the findings are %+v", report.Partitions)
	}
	got, err := w.accept(w.ctx)
	w.must(err)
	if got.Copied != 5 || got.NextOffset != 8 || len(got.GivenUp) != 0 {
		t.Errorf("accepted is %+v", got)
	}
	w.wantWhole()
}
