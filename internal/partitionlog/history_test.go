package partitionlog_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/snapshots"
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

// A log is purged only if a snapshot names the history. So the history is known also if the entries that
// named it, or all that are left of the log, are lost.
func TestTheHistoryOfALogThatHasLostItsEndIsThatOfItsSnapshot(t *testing.T) {
	history := messages.History{Manifest: "m/1", Start: 4, End: messages.Position{Sequence: 4, Offset: 8}}
	for name, c := range map[string]struct {
		lose     []uint64
		below    uint64
		want     messages.History
		readable uint64
		offset   int64
	}{
		"the entry with its name":       {[]uint64{6}, 5, history, 5, 10},
		"all that is not archived":      {[]uint64{5, 6}, 4, history, 4, 8},
		"although nothing is purged":    {[]uint64{6}, 1, history, 5, 10},
		"the entry that nothing misses": {[]uint64{5}, 5, history, 6, 12},
	} {
		t.Run(name, func(t *testing.T) {
			s, log, stream := lossy(t, 5)
			last := entry(10, 2)
			last.History = history
			_, err := log.Append(s.ctx, 5, messages.EncodeEntry(last))
			must(t, err)
			store, err := snapshots.Open(s.ctx, s.conn, s.js)
			must(t, err)
			must(t, store.Save(s.ctx, partition, 5, 5, messages.EncodeSnapshot(messages.Snapshot{TopicID: partition.TopicID, Sequence: 5, History: history})))
			must(t, stream.loseBelow(s.ctx, c.below))
			for _, sequence := range c.lose {
				must(t, stream.lose(s.ctx, sequence))
			}
			conn, js := connect(t, s.embedded) // a process that has not read the journal before
			state, err := partitionlog.New(conn, js, partition).State(s.ctx)
			if err != nil || state.History != c.want || state.Readable != c.readable || state.NextOffset != c.offset {
				t.Errorf("the state is %+v, %v", state, err)
			}
		})
	}
}

func TestALogThatIsGoneHasTheHistoryOfItsSnapshot(t *testing.T) {
	s, log := created(t, 3)
	store, err := snapshots.Open(s.ctx, s.conn, s.js)
	must(t, err)
	history := messages.History{Manifest: "m/1", Start: 1, End: messages.Position{Sequence: 2, Offset: 4}}
	must(t, store.Save(s.ctx, partition, 3, 3, messages.EncodeSnapshot(messages.Snapshot{TopicID: partition.TopicID, Sequence: 3, History: history})))
	must(t, log.Delete(s.ctx))
	if state, err := log.DamagedState(s.ctx); err != nil || state.History != history || state.Readable != 2 || state.NextOffset != 4 {
		t.Errorf("the state is %+v, %v", state, err)
	}
}
