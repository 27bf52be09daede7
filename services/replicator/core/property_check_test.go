package core_test

import (
	"slices"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// collect takes an owner's answers and checks each against the log.
func (p *path) collect(o *owner) {
	sent := o.take()
	for _, m := range sent {
		switch m := m.(type) {
		case messages.Committed:
			checkAnnounced(p.t, p.world, m)
		case messages.ProducerFenced:
			p.fenced(m)
		}
	}
	for _, a := range answers(p.t, sent) {
		p.checkAnswer(o, a)
		p.unheard = append(p.unheard, a)
		if before, known := p.answered[a.id]; !known || before.code != protocol.CodeOK {
			p.answered[a.id] = a
		}
	}
}

func (p *path) checkAnswer(o *owner, a answer) {
	places := p.find(a.id)
	switch {
	case a.code != protocol.CodeOK:
		if !p.evictions && len(places) != 0 {
			p.t.Fatalf("%s refuses %+v, which is at %v", o.name, a, places)
		}
	case a.duplicate:
		if offset, logged := p.firstOf(p.issued[a.id]); !logged || offset != a.offset || len(places) != 0 {
			p.t.Fatalf("%s answers %+v; the original is at %d, the ticket at %v", o.name, a, offset, places)
		}
	case !slices.Equal(places, []int64{a.offset}):
		p.t.Fatalf("%s answers %+v; the ticket is at %v", o.name, a, places)
	}
}

// firstOf returns the offset at which the batch stands in the log that a batch is
// or repeats, by its sequence or else by its message id.
func (p *path) firstOf(b messages.StagedBatch) (offset int64, logged bool) {
	for _, e := range p.log {
		offset = e.Entry.BaseOffset
		for _, l := range e.Entry.Batches {
			if repeats(b, l) {
				return offset, true
			}
			offset += int64(l.Records)
		}
	}
	return 0, false
}

func repeats(b messages.StagedBatch, logged messages.Placeholder) bool {
	if b.Sequence.ProducerID != 0 {
		return b.Sequence == logged.Sequence && b.Records == logged.Records
	}
	return b.MessageID != "" && logged.Sequence.ProducerID == 0 && b.MessageID == logged.MessageID
}

// checkLog checks what must hold of the log at any time.
func (p *path) checkLog() {
	p.end()
	for _, i := range p.idempotent {
		i.checkSequences(p)
	}
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
			p.checkOrder(n.Epoch, b, last[b.Lane])
			last[b.Lane] = b.Number
			if ids[b.MessageID] {
				p.t.Fatalf("message id %s is in the log twice", b.MessageID)
			}
			ids[b.MessageID] = b.MessageID != ""
		}
	}
}

// checkOrder checks I1 and I2: numbers rise, and what is left out was resolved
// or repeats a message id. A batch with a sequence may be left out for that: it is
// its sequences that are dense.
func (p *path) checkOrder(epoch uint64, b messages.Placeholder, last uint64) {
	if b.Number <= last {
		p.t.Fatalf("lane %s of epoch %d has %d after %d", b.Lane, epoch, b.Number, last)
	}
	for n := last + 1; n < b.Number && b.Sequence.ProducerID == 0; n++ {
		id := ticket{epoch, b.Lane, n}
		left, issued := p.issued[id]
		if _, repeats := p.firstOf(left); issued && !p.resolved[id] && !repeats {
			p.t.Fatalf("%+v was skipped: %d follows %d", id, b.Number, last)
		}
	}
}

// heal ends all faults and checks that every open ticket gets its answer, every
// batch of an idempotent producer gets into the log, and every answer given is true
// at the end.
func (p *path) heal() {
	p.owners = nil
	p.startOwner()
	p.network, p.unheard = nil, nil
	for range 3 * window {
		for _, i := range p.idempotent {
			i.produce(p)
		}
		p.run(p.owners[0])
	}
	for _, lane := range p.lanes() {
		if open := p.open[lane]; len(open) > 0 {
			p.t.Fatalf("%v of lane %s have no answer", open, lane)
		}
	}
	for _, i := range p.idempotent {
		i.checkComplete(p)
	}
	for _, a := range p.answered {
		p.checkAnswer(p.owners[0], a)
	}
}

// run hands an owner all there is, and the frontend its answers.
func (p *path) run(o *owner) {
	o.settle()
	for _, lane := range p.lanes() {
		p.repeat(lane)
	}
	for _, m := range p.network {
		o.step(m)
		o.settle()
	}
	p.network = nil
	p.collect(o)
	p.hear()
}
