package ticketing_test

import (
	"slices"
	"testing"
	"time"

	"laneway.dev/pkg/ticketing"
)

// path connects an issuer to the lanes of a sequencer, without a network between them.
type path struct {
	t       *testing.T
	now     time.Time
	issuer  *ticketing.Issuer[string]
	lanes   map[string]*ticketing.Lane[string]
	batches map[ticket]string
	floors  map[ticket]uint64
	answers []string
}

type ticket struct {
	Lane   string
	Number uint64
}

func newPath(t *testing.T) *path {
	return &path{
		t: t, now: start, issuer: ticketing.NewIssuer[string](), lanes: make(map[string]*ticketing.Lane[string]),
		batches: make(map[ticket]string), floors: make(map[ticket]uint64),
	}
}

// publish issues a ticket for a batch.
func (p *path) publish(lane, batch string) ticket {
	number, floor := p.issuer.Issue(lane, batch)
	tk := ticket{lane, number}
	p.batches[tk], p.floors[tk] = batch, floor
	return tk
}

// staged reports a batch as staged, and returns what is released.
func (p *path) staged(tk ticket) []string {
	lane := p.lanes[tk.Lane]
	if lane == nil {
		lane = ticketing.NewLane[string](p.floors[tk], p.now)
		p.lanes[tk.Lane] = lane
	}
	turns, _ := lane.Staged(tk.Number, p.floors[tk], p.batches[tk], p.now)
	return results(turns)
}

// settle settles a ticket: its outcome is known, or it is given up. Answers go to
// p.answers.
func (p *path) settle(tk ticket) {
	p.issuer.Settle(tk.Lane, tk.Number, func(batch string) { p.answers = append(p.answers, batch) })
}

// beat sends a heartbeat to every lane that the sequencer knows. It returns what is
// released and what is missing, and forgets idle lanes.
func (p *path) beat() (released []string, missing []ticket) {
	p.now = p.now.Add(heartbeat)
	for name, lane := range p.lanes {
		floor := p.issuer.Floor(name)
		highest := floor - 1
		for _, o := range outstanding(p.issuer) {
			if o.Lane == name {
				highest = o.Highest
			}
		}
		turns, numbers := lane.Advance(floor, highest, p.now, heartbeat, 10)
		released = append(released, results(turns)...)
		for _, n := range numbers {
			missing = append(missing, ticket{name, n})
		}
		if lane.Idle(p.now.Add(-25 * heartbeat)) {
			delete(p.lanes, name)
		}
	}
	return released, missing
}

// nothingIsLeft fails the test if the issuer or the sequencer still knows a lane.
func (p *path) nothingIsLeft() {
	p.t.Helper()
	p.beat()
	want(p.t, "tickets outstanding", p.issuer.Outstanding(), 0)
	want(p.t, "lanes of the sequencer", len(p.lanes), 0)
}

func results(turns []ticketing.Turn[string]) []string {
	var list []string
	for _, turn := range turns {
		list = append(list, turn.Result)
	}
	return list
}

func TestLanesAreIndependent(t *testing.T) {
	p := newPath(t)
	a1, a2 := p.publish("a", "a1"), p.publish("a", "a2")
	b1, b2 := p.publish("b", "b1"), p.publish("b", "b2")
	want(t, "a2 before a1", p.staged(a2), nil)
	want(t, "b1", p.staged(b1), []string{"b1"})
	want(t, "b2", p.staged(b2), []string{"b2"})
	p.settle(b1)
	p.settle(b2)
	want(t, "answers while a is held up", p.answers, []string{"b1", "b2"})
	want(t, "a1", p.staged(a1), []string{"a1", "a2"})
	p.settle(a1)
	p.settle(a2)
	p.nothingIsLeft()
}

func TestGivenUpTicketDoesNotBlockSuccessor(t *testing.T) {
	p := newPath(t)
	first, second, third := p.publish("a", "1"), p.publish("a", "2"), p.publish("a", "3")
	want(t, "third", p.staged(third), nil)
	p.settle(second)
	released, missing := p.beat()
	want(t, "released while the first is out", released, nil)
	want(t, "missing", slices.Contains(missing, first), true)
	want(t, "first", p.staged(first), []string{"1"})
	p.settle(first)
	want(t, "answers", p.answers, []string{"1", "2"})
	released, _ = p.beat()
	want(t, "released once the first is resolved", released, []string{"3"})
	p.settle(third)
	p.nothingIsLeft()
}

func TestGivenUpLastTicketLeavesNoLane(t *testing.T) {
	p := newPath(t)
	first, last := p.publish("a", "1"), p.publish("a", "2")
	p.staged(first)
	p.settle(last)
	p.settle(first)
	want(t, "answers", p.answers, []string{"1", "2"})
	p.nothingIsLeft()
}

func TestCancelAfterReleaseHasNoEffect(t *testing.T) {
	p := newPath(t)
	first, second := p.publish("a", "1"), p.publish("a", "2")
	want(t, "first", p.staged(first), []string{"1"})
	p.settle(first) // the outcome
	p.settle(first) // the cancellation, too late
	want(t, "answers", p.answers, []string{"1"})
	want(t, "second", p.staged(second), []string{"2"})
	p.settle(second)
	p.nothingIsLeft()
}

func TestGivenUpTicketIsNotReleased(t *testing.T) {
	p := newPath(t)
	first, second := p.publish("a", "1"), p.publish("a", "2")
	p.staged(second)
	p.settle(first)
	released, _ := p.beat()
	want(t, "released", released, []string{"2"})
	want(t, "the first, too late", p.staged(first), nil)
	p.settle(second)
	p.nothingIsLeft()
}

func TestInvertedStagingReleasesInSendOrder(t *testing.T) {
	p := newPath(t)
	first, second := p.publish("new", "B1"), p.publish("new", "B2")
	want(t, "B2", p.staged(second), nil)
	want(t, "B1", p.staged(first), []string{"B1", "B2"})

	// The defect that tickets prevent: the order is decided when staging ends.
	late := newPath(t)
	log := late.staged(late.publish("new", "B2"))
	log = append(log, late.staged(late.publish("new", "B1"))...)
	want(t, "order when tickets are taken after staging", log, []string{"B2", "B1"})
}

func TestSecondBatchIsReleasedAfterFirstFails(t *testing.T) {
	p := newPath(t)
	first, second := p.publish("new", "B1"), p.publish("new", "B2")
	p.staged(second)
	p.settle(first)
	want(t, "answer to the failure does not wait for the successor", p.answers, []string{"B1"})
	released, missing := p.beat()
	want(t, "released", released, []string{"B2"})
	want(t, "missing", missing, nil)
	p.settle(second)
	p.nothingIsLeft()
}

func TestHeartbeatRepairsLostOutcome(t *testing.T) {
	p := newPath(t)
	first := p.publish("a", "1")
	want(t, "first release, which is lost or its outcome is", p.staged(first), []string{"1"})
	released, missing := p.beat()
	want(t, "released again", released, []string{"1"})
	want(t, "missing", missing, nil)
	p.settle(first)
	p.nothingIsLeft()
}

func TestRestartedSequencerReleasesInOrder(t *testing.T) {
	p := newPath(t)
	first, second, third := p.publish("a", "1"), p.publish("a", "2"), p.publish("a", "3")
	p.staged(first)
	p.staged(third)
	p.settle(first)
	clear(p.lanes)
	want(t, "the second, at a restarted sequencer", p.staged(second), nil)
	released, missing := p.beat()
	want(t, "released", released, []string{"2"})
	want(t, "missing", missing, []ticket{third})
	want(t, "the third, staged again", p.staged(third), []string{"3"})
	p.settle(second)
	p.settle(third)
	p.nothingIsLeft()
}

func TestReturningLaneDropsOldResults(t *testing.T) {
	p := newPath(t)
	old := p.publish("a", "old")
	p.staged(old)
	p.settle(old)
	p.nothingIsLeft()
	young := p.publish("a", "new")
	want(t, "new", p.staged(young), []string{"new"})
	want(t, "old, staged twice", p.staged(old), nil)
}
