package storecheck

import (
	"strings"
	"testing"

	"laneway.dev/pkg/messages"
)

func inlineBatch(payload string) messages.Placeholder {
	return messages.Placeholder{
		Batch:  messages.Batch{Ticket: messages.Ticket{Lane: "i", Number: 1}, Records: 10},
		Extent: messages.InlineExtent([]byte(payload)), Inline: []byte(payload),
	}
}

func TestInlineBatchesNeedNoObject(t *testing.T) {
	w := newServedWorld(t)
	w.commit(append(w.stage(1), inlineBatch("in the log"))...)
	report := w.check()
	if report.Wrong() || report.Logs.Batches != 2 || report.Logs.Records != 20 || len(report.Logs.Lost) > 0 {
		t.Errorf("of the logs it says %+v", report.Logs)
	}
	u := w.usage()
	if topic := u.Topics[0]; topic.Batches != 2 || topic.InlineBytes != 10 || topic.Bytes != u.LiveBytes || u.MissingObjects > 0 {
		t.Errorf("usage is %+v", u)
	}
}

func TestCorruptInlineBatchIsLost(t *testing.T) {
	w := newServedWorld(t)
	corrupt := inlineBatch("in the log")
	corrupt.Extent.CRC++
	w.commit(append(w.stage(1), corrupt)...)
	report := w.check()
	if !report.Wrong() || len(report.Logs.Problems) != 1 || !strings.Contains(report.Logs.Problems[0], "orders/0: offset 10: the payload in the log entry is corrupt") {
		t.Errorf("problems are %q", report.Logs.Problems)
	}
	if lost := report.Logs.Lost; len(lost) != 1 || lost[0].Batches != 1 || lost[0].Records != 10 || lost[0].Offsets[0].From != 10 {
		t.Errorf("lost are %+v", report.Logs.Lost)
	}
}
