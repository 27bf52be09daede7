package core_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

// path is the rest of the write path in one: producers, frontend, sequencer and the
// network between them and the owners, none of which can be relied on.
type path struct {
	*world
	t         *rapid.T
	evictions bool // time may pass until lanes are forgotten

	frontend  uint64
	sequencer uint64
	highest   uint64 // number issued in the frontend epoch
	issued    map[ticket]messages.StagedBatch
	open      map[string][]uint64 // unresolved numbers of the newest epoch's lanes, rising
	resolved  map[ticket]bool
	network   []messages.Message
	owners    []*owner
	late      []*core.Append // given up by their owners, still on their way
	unheard   []answer
	answered  map[ticket]answer
	started   int

	idempotent []*idempotent
	attempts   map[ticket]*attempt // of idempotent producers that wait for an answer
}

// plain are the lanes of producers without an id.
var plain = []string{"a", "b", "c"}

// lanes returns all there are.
func (p *path) lanes() []string {
	all := slices.Clone(plain)
	for _, i := range p.idempotent {
		all = append(all, i.lane())
	}
	return all
}

func newPath(t *rapid.T) *path {
	p := &path{
		world: newWorld(t), t: t, evictions: rapid.Bool().Draw(t, "evictions"),
		frontend: 1, sequencer: 1,
		issued: map[ticket]messages.StagedBatch{}, open: map[string][]uint64{},
		resolved: map[ticket]bool{}, answered: map[ticket]answer{}, attempts: map[ticket]*attempt{},
	}
	p.settings.EntryItems, p.settings.ReadEntries, p.settings.SnapshotEvery = 3, 2, 4
	for id := range int64(2) {
		p.idempotent = append(p.idempotent, newIdempotent(t, id+1))
	}
	p.settings.IDWindow = 100 * time.Hour
	p.startOwner()
	return p
}

func (p *path) startOwner() {
	p.started++
	p.owners = append(p.owners, p.start(fmt.Sprint("owner-", p.started)))
}

func (p *path) pick(n int, what string) int { return rapid.IntRange(0, n-1).Draw(p.t, what) }

func (p *path) floor(lane string) uint64 {
	if open := p.open[lane]; len(open) > 0 {
		return open[0]
	}
	return p.highest + 1
}

// issue releases a batch of a producer without an id.
func (p *path) issue() {
	b := batch(plain[p.pick(len(plain), "lane")], 0)
	b.Records = uint32(1 + p.pick(3, "records"))
	if p.pick(3, "named") == 0 {
		b.MessageID = fmt.Sprint("id-", p.pick(4, "id"))
	}
	p.release(b)
}

// release gives a batch the next ticket of its lane, as the issuer does, and
// releases it.
func (p *path) release(b messages.StagedBatch) ticket {
	open := p.open[b.Lane]
	b.Number = p.floor(b.Lane) + uint64(len(open))
	p.highest = max(p.highest, b.Number)
	p.open[b.Lane] = append(open, b.Number)
	id := ticket{p.frontend, b.Lane, b.Number}
	p.issued[id] = floored(b, p.floor(b.Lane))
	p.send(p.issued[id])
	return id
}

func (p *path) send(all ...messages.StagedBatch) {
	p.network = append(p.network, messages.Release{
		Partition: orders, Epoch: p.frontend, SequencerEpoch: p.sequencer, Batches: all,
	})
}

// repeat releases again what is not resolved of a lane.
func (p *path) repeat(lane string) {
	var all []messages.StagedBatch
	for _, n := range p.open[lane] {
		all = append(all, floored(p.issued[ticket{p.frontend, lane, n}], p.floor(lane)))
	}
	if len(all) > 0 {
		p.send(all...)
	}
}

// resolve answers the head of a lane: with its outcome, or for its deadline.
func (p *path) resolve(lane string, code protocol.Code) {
	if open := p.open[lane]; len(open) > 0 {
		id := ticket{p.frontend, lane, open[0]}
		p.resolved[id] = true
		p.open[lane] = open[1:]
		p.attempted(id, code)
	}
}

// resolveAll lets every deadline pass, also those of dead frontends.
func (p *path) resolveAll() {
	for id := range p.issued {
		p.resolved[id] = true
	}
	for _, lane := range p.lanes() {
		for len(p.open[lane]) > 0 {
			p.resolve(lane, protocol.CodeOutcomeUnknown)
		}
	}
}

// deliver gives an owner any message of the network, perhaps not for the last time.
func (p *path) deliver() {
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
func (p *path) progress() {
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

func (p *path) settleAppend(o *owner) {
	switch fate := p.pick(8, "fate"); fate {
	case 0:
		p.late = append(p.late, o.loseAppend())
	case 1:
		p.land(o.takeAppend()) // and its answer is lost
		o.step(core.AppendFailed{})
	default:
		o.ack()
	}
}

// disturb does what happens rarely.
func (p *path) disturb() {
	switch p.pick(10, "disturbance") {
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
		p.replaceFrontend()
	case 4:
		p.sequencer++
	case 5:
		p.unheard = nil
	case 6:
		p.resolve(p.pickLane(), protocol.CodeOutcomeUnknown)
	case 7:
		if p.evictions { // nothing stays unresolved for as long as this
			p.resolveAll()
			p.pass(2 * p.settings.LaneExpiry)
		}
	case 8:
		p.idempotent[p.pick(len(p.idempotent), "fenced")].reinit(p)
	case 9:
		p.harm()
	}
}

// replaceFrontend lets another frontend take over: no one answers the tickets of
// the one before.
func (p *path) replaceFrontend() {
	p.frontend, p.highest = p.frontend+1, 0
	p.open = map[string][]uint64{}
	p.unheard = nil
	for id := range p.attempts {
		p.attempted(id, protocol.CodeOutcomeUnknown)
	}
}

// harm damages or removes a snapshot.
func (p *path) harm() {
	kept := slices.Sorted(maps.Keys(p.snapshots))
	if len(kept) == 0 {
		return
	}
	sequence := kept[p.pick(len(kept), "snapshot")]
	if data := p.snapshots[sequence]; len(data) == 0 || p.pick(2, "removed") == 0 {
		delete(p.snapshots, sequence)
	} else {
		data[p.pick(len(data), "byte")] ^= 1 << p.pick(8, "bit")
	}
}

func (p *path) pickLane() string {
	lanes := p.lanes()
	return lanes[p.pick(len(lanes), "lane")]
}

// hear tells the frontend what owners have answered; it resolves in order.
func (p *path) hear() {
	for _, lane := range p.lanes() {
		for len(p.open[lane]) > 0 {
			i := slices.IndexFunc(p.unheard, func(a answer) bool {
				return a.id == ticket{p.frontend, lane, p.open[lane][0]}
			})
			if i < 0 {
				break
			}
			p.resolve(lane, p.unheard[i].code)
		}
	}
}

func TestLogStaysInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPath(t)
		for range rapid.IntRange(10, 150).Draw(t, "steps") {
			switch k := p.pick(26, "action"); {
			case k < 3:
				p.issue()
			case k < 8:
				p.idempotent[p.pick(len(p.idempotent), "producer")].produce(p)
			case k < 14:
				p.deliver()
			case k < 19:
				p.progress()
			case k < 20:
				p.repeat(p.pickLane())
			case k < 22:
				p.hear()
			case k < 23:
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
