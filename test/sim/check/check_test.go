package check

import (
	"reflect"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestCloneChangesIndependently(t *testing.T) {
	now := time.Unix(1000, 0)
	lane := LaneKey{Epoch: 7, Lane: "i:1"}
	issued := Issued{By: "frontend-1", Ticket: Ticket{lane, 1}, Batch: Batch{Records: 1}, Idempotent: true, Attempt: 1}
	history := []Sighting{
		issued,
		Turn{By: "sequencer-1", Ticket: issued.Ticket},
		Released{Owner: "replicator-1", Ticket: issued.Ticket},
		Appending{Owner: "replicator-1"},
		Taken{By: "stager-1", Ticket: issued.Ticket},
	}
	changes := []Sighting{
		Issued{By: "frontend-1", Ticket: Ticket{lane, 2}, Batch: Batch{First: 1, Records: 1}, Attempt: 1},
		TurnedAway{Ticket: issued.Ticket, Attempt: 1, By: "stager-1"},
		Reported{Ticket: issued.Ticket, Attempt: 1, By: "stager-1"},
		Announced{To: "frontend-1", Stager: "stager-2"},
		Round{Of: "frontend-1"},
		Taken{By: "stager-1", Ticket: Ticket{lane, 2}},
		Reporting{By: "stager-1", Ticket: issued.Ticket},
		Returned{By: "stager-1", Ticket: issued.Ticket},
		Died{Process: "stager-1"},
		Released{Owner: "replicator-1", Ticket: Ticket{lane, 2}},
		Heard{Owner: "replicator-1", SequencerEpoch: 3},
		AppendAcked{Owner: "replicator-1"},
		Turn{By: "sequencer-2", Ticket: issued.Ticket},
		Forgotten{Owner: "replicator-1"},
		Died{Process: "replicator-1"},
		Answered{By: "frontend-1", Ticket: issued.Ticket, Code: protocol.CodeUnavailable},
		Calm{},
	}
	state := func() *State {
		s := New(&Limits{Heartbeat: time.Second, Deadline: time.Second}, &Counts{}, now)
		for _, what := range history {
			if err := s.See(now, what); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	for _, what := range changes {
		original, untouched := state(), state()
		clone := original.Clone()
		if err := clone.See(now.Add(time.Millisecond), what); err != nil {
			t.Fatal(err)
		}
		clone.now = now
		untouched.counts, original.counts, untouched.limits, untouched.cloned = clone.counts, clone.counts, original.limits, true
		if !reflect.DeepEqual(original, untouched) {
			t.Errorf("%T changes the state that was cloned", what)
		}
		if reflect.DeepEqual(clone, untouched) {
			t.Errorf("%T does not change the clone", what)
		}
	}
}

// A release without batches ends the older sequencer as well, whose floors do not count any more.
func TestFloorOfAReplacedSequencerDoesNotCount(t *testing.T) {
	s := New(&Limits{Heartbeat: time.Second, Deadline: time.Minute, LaneExpiry: time.Minute}, &Counts{}, time.Unix(1000, 0))
	ticket := Ticket{LaneKey{Epoch: 7, Lane: "i:1"}, 20}
	refused := Outcome{Owner: "replicator-1", Ticket: ticket, Outcome: messages.Outcome{Code: protocol.CodeNotCommitted}}
	for i, what := range []Sighting{
		Issued{By: "frontend-1", Ticket: ticket, Batch: Batch{Records: 1}, Attempt: 1},
		Heard{Owner: "replicator-1", SequencerEpoch: 4},
		Heard{Owner: "replicator-1", SequencerEpoch: 1},
		Released{Owner: "replicator-1", SequencerEpoch: 1, Ticket: Ticket{ticket.LaneKey, 38}, Floor: 38},
		Heard{Owner: "replicator-1", SequencerEpoch: 4},
		Released{Owner: "replicator-1", SequencerEpoch: 4, Ticket: ticket, Floor: 20},
		Appending{Owner: "replicator-1"},
		AppendAcked{Owner: "replicator-1"},
		refused,
	} {
		if err := s.See(time.Unix(1000, 0), what); err != nil {
			t.Fatalf("sighting %d: %v", i, err)
		}
	}
}
