package world

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core/ask"
	"laneway.dev/test/sim/check"
)

// Truncation is a request to drop the records below an offset, at a frontend. The frontend repeats it
// until it is answered.
type Truncation struct {
	By       *Process
	Of       *Partition
	Before   int64
	Answered bool

	request   uint64
	questions *ask.Questions
	expires   time.Time
}

// Truncate starts a request at a frontend. It ends without an answer when it expires.
func (w *World) Truncate(p *Process, of *Partition, before int64, patience time.Duration) *Truncation {
	w.truncations++
	t := &Truncation{By: p, Of: of, Before: before, request: w.truncations, questions: ask.New(w.Times.Heartbeat), expires: w.Clock(p).Add(patience)}
	t.questions.Add(messages.Truncate{Partition: of.ID, Asker: p.Epoch, Request: t.request, Before: before})
	p.truncations = append(p.truncations, t)
	w.askAgain(p, t)
	return t
}

// tickTruncations lets all requests of a frontend notice the time.
func (w *World) tickTruncations(p *Process) {
	p.truncations = slices.DeleteFunc(p.truncations, func(t *Truncation) bool { return !w.Clock(p).Before(t.expires) })
	for _, t := range p.truncations {
		w.askAgain(p, t)
	}
}

func (w *World) askAgain(p *Process, t *Truncation) {
	for _, e := range t.questions.Due(w.Clock(p)) {
		w.send(p, Envelope{e.Subject, &Message{Data: messages.Encode(e.Message)}})
	}
}

// truncated handles an answer of a replicator.
func (w *World) truncated(p *Process, m messages.Truncated) {
	at := slices.IndexFunc(p.truncations, func(t *Truncation) bool { return t.request == m.Request })
	if at < 0 {
		return
	}
	t := p.truncations[at]
	t.Answered = true
	p.truncations = slices.Delete(p.truncations, at, at+1)
	w.See(t.Of.Index, check.Truncated{Before: t.Before, Start: m.Start, Refused: m.Code != protocol.CodeOK})
}
