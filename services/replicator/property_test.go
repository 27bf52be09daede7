package replicator_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator"
)

// producers is the rest of the write path in one: frontend, sequencer and the
// network between them and the owners, none of which can be relied on.
type producers struct {
	*world
	t         *rapid.T
	evictions bool // time may pass until lanes are forgotten

	frontend  uint64
	sequencer uint64
	highest   uint64 // number issued in the frontend epoch
	issued    map[ticket]messages.StagedBatch
	open      map[string][]uint64 // unresolved numbers of the newest epoch's lanes, rising
	resolved  map[ticket]bool
	network   []messages.Release
	owners    []*owner
	late      []*replicator.Append // given up by their owners, still on their way
	unheard   []answer
	answered  map[ticket]answer
	started   int
}

func newProducers(t *rapid.T) *producers {
	p := &producers{
		world: newWorld(t), t: t, evictions: rapid.Bool().Draw(t, "evictions"),
		frontend: 1, sequencer: 1,
		issued: map[ticket]messages.StagedBatch{}, open: map[string][]uint64{},
		resolved: map[ticket]bool{}, answered: map[ticket]answer{},
	}
	p.settings.EntryItems, p.settings.ReadEntries = 3, 2
	p.settings.IDWindow = 100 * time.Hour
	p.startOwner()
	return p
}

func (p *producers) startOwner() {
	p.started++
	p.owners = append(p.owners, p.start(fmt.Sprint("owner-", p.started)))
}

func (p *producers) pick(n int, what string) int { return rapid.IntRange(0, n-1).Draw(p.t, what) }

func (p *producers) floor(lane string) uint64 {
	if open := p.open[lane]; len(open) > 0 {
		return open[0]
	}
	return p.highest + 1
}

// issue takes a ticket, as the issuer does, and releases its batch.
func (p *producers) issue() {
	lane := string(rune('a' + p.pick(3, "lane")))
	number := p.floor(lane) + uint64(len(p.open[lane]))
	p.highest = max(p.highest, number)
	p.open[lane] = append(p.open[lane], number)
	b := floored(batch(lane, number), p.open[lane][0])
	if p.pick(3, "named") == 0 {
		b.MessageID = fmt.Sprint("id-", p.pick(4, "id"))
	}
	p.issued[ticket{p.frontend, lane, number}] = b
	p.send(b)
}

func (p *producers) send(all ...messages.StagedBatch) {
	p.network = append(p.network, messages.Release{
		Partition: partition, Epoch: p.frontend, SequencerEpoch: p.sequencer, Batches: all,
	})
}

// repeat releases again what is not resolved of a lane.
func (p *producers) repeat(lane string) {
	var all []messages.StagedBatch
	for _, n := range p.open[lane] {
		all = append(all, floored(p.issued[ticket{p.frontend, lane, n}], p.floor(lane)))
	}
	if len(all) > 0 {
		p.send(all...)
	}
}

// resolve answers the head of a lane: with its outcome, or for its deadline.
func (p *producers) resolve(lane string) {
	if open := p.open[lane]; len(open) > 0 {
		p.resolved[ticket{p.frontend, lane, open[0]}] = true
		p.open[lane] = open[1:]
	}
}

// resolveAll lets every deadline pass, also those of dead frontends.
func (p *producers) resolveAll() {
	for id := range p.issued {
		p.resolved[id] = true
	}
	for _, lane := range []string{"a", "b", "c"} {
		for len(p.open[lane]) > 0 {
			p.resolve(lane)
		}
	}
}

// deliver gives an owner any message of the network, perhaps not for the last time.
func (p *producers) deliver() {
	if len(p.network) == 0 {
		return
	}
	i := p.pick(len(p.network), "message")
	if p.pick(2, "in order") == 0 {
		i = 0
	}
	m := p.network[i]
	o := p.owners[p.pick(len(p.owners), "owner")]
	if p.pick(4, "keep") != 0 {
		p.network = slices.Delete(p.network, i, i+1)
	}
	o.step(m)
	p.collect(o)
}

// progress lets something become of what an owner has under way.
func (p *producers) progress() {
	o := p.owners[p.pick(len(p.owners), "owner")]
	switch {
	case o.read != nil:
		o.answerRead()
	case o.append == nil:
		o.step()
	default:
		p.settleAppend(o)
	}
	p.collect(o)
}

func (p *producers) settleAppend(o *owner) {
	switch fate := p.pick(8, "fate"); fate {
	case 0:
		p.late = append(p.late, o.loseAppend())
	case 1:
		p.land(o.takeAppend()) // and nobody hears of it
		o.step(replicator.AppendFailed{})
	default:
		o.ack()
	}
}

// disturb does what happens rarely.
func (p *producers) disturb() {
	switch p.pick(8, "disturbance") {
	case 0:
		if len(p.owners) < 3 {
			p.startOwner()
		}
	case 1: // a process dies; another one starts
		i := p.pick(len(p.owners), "dies")
		if a := p.owners[i].append; a != nil {
			p.late = append(p.late, a)
		}
		p.owners = slices.Delete(p.owners, i, i+1)
		p.startOwner()
	case 2:
		if len(p.late) > 0 {
			i := p.pick(len(p.late), "late")
			p.land(p.late[i])
			p.late = slices.Delete(p.late, i, i+1)
		}
	case 3:
		p.frontend, p.highest = p.frontend+1, 0
		p.open = map[string][]uint64{}
		p.unheard = nil
	case 4:
		p.sequencer++
	case 5:
		p.unheard = nil
	case 6:
		p.resolve(string(rune('a' + p.pick(3, "given up"))))
	case 7:
		if p.evictions { // nothing stays unresolved for as long as this
			p.resolveAll()
			p.pass(2 * p.settings.LaneExpiry)
		}
	}
}

// hear tells the frontend what owners have answered; it resolves in order.
func (p *producers) hear() {
	for _, lane := range []string{"a", "b", "c"} {
		for len(p.open[lane]) > 0 && slices.ContainsFunc(p.unheard, func(a answer) bool {
			return a.id == ticket{p.frontend, lane, p.open[lane][0]}
		}) {
			p.resolve(lane)
		}
	}
}

// collect takes an owner's answers and checks each against the log.
func (p *producers) collect(o *owner) {
	sent := o.take()
	for _, m := range sent {
		if c, is := m.(messages.Committed); is {
			checkAnnounced(p.t, p.world, c)
		}
	}
	for _, a := range answers(p.t, sent) {
		p.checkAnswer(o, a)
		p.unheard = append(p.unheard, a)
		if before, known := p.answered[a.id]; !known || before.code != messages.CodeOK {
			p.answered[a.id] = a
		}
	}
}

func (p *producers) checkAnswer(o *owner, a answer) {
	places := p.find(a.id)
	switch {
	case a.code != messages.CodeOK:
		if !p.evictions && len(places) != 0 {
			p.t.Fatalf("%s refuses %+v, which is at %v", o.name, a, places)
		}
	case a.duplicate:
		if offset, logged := p.firstOf(p.issued[a.id].MessageID); !logged || offset != a.offset || len(places) != 0 {
			p.t.Fatalf("%s answers %+v; the id is at %d, the ticket at %v", o.name, a, offset, places)
		}
	case !slices.Equal(places, []int64{a.offset}):
		p.t.Fatalf("%s answers %+v; the ticket is at %v", o.name, a, places)
	}
}

// firstOf returns the offset at which a message id stands in the log.
func (p *producers) firstOf(id string) (offset int64, logged bool) {
	for _, e := range p.log {
		offset = e.Entry.BaseOffset
		for _, b := range e.Entry.Batches {
			if id != "" && b.MessageID == id {
				return offset, true
			}
			offset += int64(b.Records)
		}
	}
	return 0, false
}

// checkLog checks what must hold of the log at any time.
func (p *producers) checkLog() {
	p.end()
	last := map[string]uint64{}
	ids := map[string]bool{}
	var frontend, sequencer uint64
	for _, e := range p.log {
		n := e.Entry
		if len(n.Batches) == 0 {
			continue
		}
		if n.Epoch < frontend || n.SequencerEpoch < sequencer {
			p.t.Fatalf("epochs fall at entry %d: %d/%d after %d/%d", e.Sequence, n.Epoch, n.SequencerEpoch, frontend, sequencer)
		}
		if n.Epoch > frontend {
			clear(last)
		}
		frontend, sequencer = n.Epoch, n.SequencerEpoch
		for _, b := range n.Batches {
			p.checkOrder(n.Epoch, b.Lane, last[b.Lane], b.Number)
			last[b.Lane] = b.Number
			if ids[b.MessageID] {
				p.t.Fatalf("message id %s is in the log twice", b.MessageID)
			}
			ids[b.MessageID] = b.MessageID != ""
		}
	}
}

// checkOrder checks I1 and I2: numbers rise, and what is left out was resolved
// or repeats a message id.
func (p *producers) checkOrder(epoch uint64, lane string, last, number uint64) {
	if number <= last {
		p.t.Fatalf("lane %s of epoch %d has %d after %d", lane, epoch, number, last)
	}
	for n := last + 1; n < number; n++ {
		id := ticket{epoch, lane, n}
		b, issued := p.issued[id]
		if _, repeats := p.firstOf(b.MessageID); issued && !p.resolved[id] && !repeats {
			p.t.Fatalf("%+v was skipped: %d follows %d", id, number, last)
		}
	}
}

// heal ends all faults and checks that every open ticket gets its answer, and
// every answer given is true at the end.
func (p *producers) heal() {
	p.owners = nil
	p.startOwner()
	o := p.owners[0]
	o.settle()
	p.network, p.unheard = nil, nil
	for _, lane := range []string{"a", "b", "c"} {
		p.repeat(lane)
	}
	for _, m := range p.network {
		o.step(m)
		o.settle()
	}
	p.collect(o)
	p.hear()
	for lane, open := range p.open {
		if len(open) > 0 {
			p.t.Fatalf("%v of lane %s have no answer", open, lane)
		}
	}
	for _, a := range p.answered {
		p.checkAnswer(o, a)
	}
}

func TestLogStaysInOrderUnderLossDuplicationAndTwoOwners(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newProducers(t)
		for range rapid.IntRange(10, 150).Draw(t, "steps") {
			switch k := p.pick(20, "action"); {
			case k < 5:
				p.issue()
			case k < 10:
				p.deliver()
			case k < 15:
				p.progress()
			case k < 16:
				p.repeat(string(rune('a' + p.pick(3, "repeated"))))
			case k < 18:
				p.hear()
			case k < 19:
				p.pass(p.settings.Heartbeat)
			default:
				p.disturb()
			}
		}
		p.checkLog()
		p.heal()
		p.checkLog()
	})
}
