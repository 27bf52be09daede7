package partitionlog_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"laneway.dev/pkg/messages"
)

func TestALogTellsItsHistoryAfterItsBeginningWasPurged(t *testing.T) {
	s, log, stream := lossy(t, 400)
	history := messages.History{Manifest: "m/1", Start: 4, End: messages.Position{Sequence: 398, Offset: 796}}
	last := entry(800, 2)
	last.History = history
	_, err := log.Append(s.ctx, 400, messages.EncodeEntry(last))
	must(t, err)
	must(t, stream.loseBelow(s.ctx, 399))

	if got, err := log.History(s.ctx); err != nil || got != history {
		t.Errorf("the history is %+v, %v", got, err)
	}
	if state, err := log.State(s.ctx); err != nil || state.History != history || state.FirstSequence != 399 || state.NextOffset != 802 {
		t.Errorf("the state is %+v, %v", state, err)
	}
	if bounds, err := log.Bounds(s.ctx); err != nil || bounds.First != 1 || bounds.Last != 401 {
		t.Errorf("the bounds are %+v, %v", bounds, err)
	}
	if diff := cmp.Diff([]string{"1-398 JetStream", "399", "400", "401"}, walk(t, s, log, 1, 401)); diff != "" {
		t.Errorf("found (+), want (-):\n%s", diff)
	}
}

func TestAHistoryIsUnknownIfTheLastEntryCannotBeRead(t *testing.T) {
	for name, last := range map[string][]byte{"foreign": messages.EncodeEntry(messages.Entry{TopicID: 8}), "unreadable": {1}} {
		t.Run(name, func(t *testing.T) {
			s, log, _ := lossy(t, 2)
			_, err := log.Append(s.ctx, 2, last)
			must(t, err)
			if got, err := log.History(s.ctx); err != nil || got.Archived() {
				t.Errorf("the history is %+v, %v", got, err)
			}
		})
	}
	s, log := created(t, 0)
	if got, err := log.History(s.ctx); err != nil || got.Archived() {
		t.Errorf("the history of a new log is %+v, %v", got, err)
	}
	must(t, log.Delete(s.ctx))
	if got, err := log.History(s.ctx); err == nil {
		t.Errorf("the history of no log is %+v", got)
	}
}
