package core_test

import (
	"fmt"
	"math"
	"slices"

	"pgregory.net/rapid"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// window is how many batches an idempotent producer sends from its first one without
// an OK on.
const window = 5

// idempotent is a producer with an id. It sends again, in order and by new tickets,
// what was refused or not answered.
type idempotent struct {
	id      int64
	epoch   int16
	start   int32 // its first sequence ever
	next    int32
	unacked []*attempt // rising
	fencing int16      // the epoch that it waits for; 0 is none
}

// attempt is a batch that has no OK yet.
type attempt struct {
	producer *idempotent
	first    int32
	records  uint32
	waits    bool // for the answer to a ticket
}

func newIdempotent(t *rapid.T, id int64) *idempotent {
	start := rapid.SampledFrom([]int32{0, math.MaxInt32 - 3}).Draw(t, "start")
	return &idempotent{id: id, start: start, next: start}
}

func (i *idempotent) lane() string { return fmt.Sprint("i:", i.id) }

// produce sends again what has failed, or else the next batch. While it waits for
// its next epoch it only asks for that.
func (i *idempotent) produce(p *path) {
	if i.fencing != 0 {
		i.askForFence(p)
		return
	}
	failed := false
	for _, a := range i.unacked {
		if !a.waits {
			failed = true
			i.send(p, a)
		}
	}
	if failed || len(i.unacked) == window {
		return
	}
	a := &attempt{producer: i, first: i.next, records: uint32(1 + p.pick(3, "records"))}
	i.next = protocol.AddSequence(i.next, int64(a.records))
	i.unacked = append(i.unacked, a)
	i.send(p, a)
}

func (i *idempotent) send(p *path, a *attempt) {
	b := batch(i.lane(), 0)
	b.Records, b.FirstUnacked = a.records, i.unacked[0].first
	b.Sequence = messages.Sequence{ProducerID: i.id, ProducerEpoch: i.epoch, First: a.first}
	a.waits = true
	p.attempts[p.release(b)] = a
}

// attempted tells a producer the answer to a ticket, if it waits for one. An OK
// proves what comes before.
func (p *path) attempted(id ticket, code protocol.Code) {
	a := p.attempts[id]
	if a == nil {
		return
	}
	delete(p.attempts, id)
	a.waits = false
	at := slices.Index(a.producer.unacked, a)
	if code == protocol.CodeOK && at >= 0 {
		a.producer.unacked = a.producer.unacked[at+1:]
	}
}

// reinit starts a new instance of the producer, which asks for its epoch.
func (i *idempotent) reinit(p *path) {
	i.fencing = i.epoch + 1
	i.askForFence(p)
}

func (i *idempotent) askForFence(p *path) {
	p.network = append(p.network, messages.FenceProducer{
		Partition: orders, Asker: p.frontend,
		Fence: messages.ProducerFence{ProducerID: i.id, ProducerEpoch: i.fencing, Name: i.lane()},
	})
}

// fenced tells a producer that its new instance may begin, where the one before ended.
func (p *path) fenced(m messages.ProducerFenced) {
	i := p.idempotent[m.Producer.ProducerID-1]
	if m.Code != protocol.CodeOK || m.Producer.ProducerEpoch != i.fencing {
		return
	}
	i.epoch, i.fencing, i.unacked = i.fencing, 0, nil
	i.next = i.start
	if m.Producer.HasLast {
		i.next = protocol.AddSequence(m.Producer.Last, 1)
	}
	for id, a := range p.attempts {
		if a.producer == i {
			delete(p.attempts, id) // of the instance before
		}
	}
}

// checkSequences checks that the producer's sequences in the log are dense, so that
// each batch is there once and in order, and that no fence was passed.
func (i *idempotent) checkSequences(p *path) {
	next, epoch := i.start, int16(0)
	for _, e := range p.log {
		for _, b := range e.Entry.Batches {
			switch s := b.Sequence; {
			case s.ProducerID != i.id:
			case s.First != next || s.ProducerEpoch != epoch:
				p.t.Fatalf("entry %d has %+v where sequence %d of epoch %d is next", e.Sequence, s, next, epoch)
			default:
				next = protocol.AddSequence(next, int64(b.Records))
			}
		}
		for _, f := range e.Entry.Fences {
			if f.ProducerID == i.id && f.ProducerEpoch <= epoch {
				p.t.Fatalf("entry %d has the fence of epoch %d in epoch %d", e.Sequence, f.ProducerEpoch, epoch)
			} else if f.ProducerID == i.id {
				epoch = f.ProducerEpoch
			}
		}
	}
}

// checkComplete checks that all that the producer sent is in the log.
func (i *idempotent) checkComplete(p *path) {
	last := i.start
	for _, e := range p.log {
		for _, b := range e.Entry.Batches {
			if b.Sequence.ProducerID == i.id {
				last = protocol.AddSequence(b.Sequence.First, int64(b.Records))
			}
		}
	}
	if last != i.next || i.fencing != 0 || len(i.unacked) > window {
		p.t.Fatalf("producer %d has sent up to %d, the log has up to %d; it waits for epoch %d", i.id, i.next, last, i.fencing)
	}
}
