package delivery_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/protocol"
)

// logged is a batch as the model of the log and of the network has it.
type logged struct {
	first, last  int32
	firstUnacked int32
	records      []int
}

// partition applies the rules of the replicator: it compares with the last batches of a
// known producer, and uses first unacked for an unknown one.
type partition struct {
	known bool
	next  int32
	last  []logged // at most delivery.Span
	log   []int
}

func (p *partition) produce(b logged) *protocol.Error {
	for _, old := range p.last {
		if p.known && old.first == b.first && old.last == b.last {
			return nil
		}
	}
	switch {
	case p.known && b.first != p.next && b.first == b.firstUnacked:
		return outOfOrderFinal
	case p.known && b.first != p.next, !p.known && b.first != b.firstUnacked:
		return outOfOrder
	}
	p.known, p.next = true, protocol.AddSequence(b.last, 1)
	p.last = append(p.last, b)
	if len(p.last) > delivery.Span {
		p.last = p.last[1:]
	}
	p.log = append(p.log, b.records...)
	return nil
}

// packet is a request or an answer in the network.
type packet struct {
	id     delivery.ID
	batch  logged
	answer *protocol.Error // nil is OK
}

// world is a producer, a partition and an unreliable network between them.
// Requests of a connection stay in order, answers do not.
type world struct {
	window    *delivery.Window[[]int]
	partition partition
	now       time.Time
	requests  []packet
	answers   []packet
	boundary  map[uint64]logged // of each batch, as in its first attempt
	published int
	acked     []int
}

func newWorld(t *rapid.T) *world {
	first := rapid.SampledFrom([]int32{0, 7, 1<<31 - 20}).Draw(t, "first sequence")
	return &world{
		window: delivery.New[[]int](delivery.Settings{
			First: first, DeliveryTimeout: 1000 * time.Hour,
			Random: func() float64 { return rapid.Float64Range(0, 0.999).Draw(t, "backoff") },
		}),
		now: time.Unix(0, 0), boundary: make(map[uint64]logged),
	}
}

func (w *world) publish(records int) {
	if !w.window.Room() {
		return
	}
	batch := make([]int, records)
	for i := range batch {
		batch[i] = w.published
		w.published++
	}
	if err := w.window.Add(w.now, batch, records); err != nil {
		panic(err)
	}
}

// send makes the attempts that the window wants, and checks them against the rules.
func (w *world) send(t *rapid.T) {
	for s, ok := w.window.Next(w.now); ok; s, ok = w.window.Next(w.now) {
		b := logged{s.Sequence, protocol.AddSequence(s.Sequence, int64(len(s.Batch))-1), s.FirstUnacked, s.Batch}
		before, sent := w.boundary[s.ID.Batch]
		switch {
		case sent && (before.first != b.first || before.last != b.last):
			t.Fatalf("batch %d had the sequences %d to %d, and then %d to %d", s.ID.Batch, before.first, before.last, b.first, b.last)
		case s.FirstUnacked != w.window.FirstUnacked():
			t.Fatalf("first unacked is %d, the attempt says %d", w.window.FirstUnacked(), s.FirstUnacked)
		case s.ID.Batch >= w.lowest()+delivery.Span:
			t.Fatalf("batch %d was sent while %d has no OK", s.ID.Batch, w.lowest())
		}
		w.boundary[s.ID.Batch] = b
		w.requests = append(w.requests, packet{id: s.ID, batch: b})
	}
}

// lowest returns the number of the lowest batch without an OK.
func (w *world) lowest() uint64 {
	for n := uint64(0); ; n++ {
		if b, sent := w.boundary[n]; !sent || b.first == w.window.FirstUnacked() {
			return n
		}
	}
}

// arrive delivers the oldest request to the partition.
func (w *world) arrive(refuseBefore, refuseAfter *protocol.Error) {
	if len(w.requests) == 0 {
		return
	}
	r := w.requests[0]
	w.requests = w.requests[1:]
	if r.answer = refuseBefore; r.answer == nil {
		r.answer = w.partition.produce(r.batch)
	}
	if r.answer == nil {
		r.answer = refuseAfter
	}
	w.answers = append(w.answers, r)
}

// hear delivers the n-th answer in the network to the producer.
func (w *world) hear(n int) {
	if len(w.answers) == 0 {
		return
	}
	n %= len(w.answers)
	a := w.answers[n]
	w.answers = append(w.answers[:n:n], w.answers[n+1:]...)
	if a.answer != nil {
		w.window.Refused(w.now, a.id, a.answer)
		return
	}
	w.window.OK(w.now, a.id)
}

func (w *world) settle(t *rapid.T) {
	for batch, ok := w.window.Acked(); ok; batch, ok = w.window.Acked() {
		w.acked = append(w.acked, batch...)
	}
	if err := w.window.Err(); err != nil {
		t.Fatalf("failed: %v", err)
	}
}

// misfortune is one random step of the world, with faults.
func (w *world) misfortune(t *rapid.T) {
	draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "which") }
	switch draw(12) {
	case 0, 1:
		w.publish(1 + draw(9))
	case 2, 3:
		w.arrive(nil, nil)
	case 4:
		w.arrive(busy, nil)
	case 5: // committed, but the answer does not say so
		w.arrive(nil, protocol.NewError(protocol.CodeOutcomeUnknown, ""))
	case 6:
		if len(w.requests) > 0 {
			w.requests = w.requests[1:]
		}
	case 7, 8:
		w.hear(draw(8))
	case 9:
		if len(w.answers) > 0 {
			w.answers = w.answers[1:]
		}
	case 10: // the process may have been stopped for a while
		w.now = w.now.Add(time.Duration(draw(2)) * time.Minute)
		// Without a connection, the next event may be the delivery timeout, which is far away.
		if at, ok := w.window.Wake(); ok && at.Before(w.now.Add(time.Hour)) {
			w.now = at
		}
	case 11:
		w.rarely(draw(4))
	}
}

func (w *world) rarely(what int) {
	idle := w.window.Unacked() == 0 && len(w.requests) == 0
	switch {
	case what == 0:
		w.window.Disconnect(w.now)
		w.window.Reconnect()
	case what == 2:
		w.window.Disconnect(w.now)
	case what == 3:
		w.window.Reconnect()
	case what == 1 && idle: // the partition forgets an idle producer
		w.partition.known, w.partition.last = false, nil
	}
}

func TestLogHasEveryRecordOnceInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			w.misfortune(t)
			w.send(t)
			w.settle(t)
		}
		w.window.Reconnect()
		w.send(t)
		for round := 0; w.window.Unacked() > 0; round++ {
			if round > 100 {
				t.Fatalf("%d batches are not acked although nothing fails", w.window.Unacked())
			}
			w.calm(t)
		}
		if !w.window.Room() {
			t.Fatal("there is no room for another batch")
		}
		for want, got := range w.partition.log {
			if got != want {
				t.Fatalf("record %d of the log is %d", want, got)
			}
		}
		if len(w.partition.log) != w.published || len(w.acked) != w.published {
			t.Fatalf("%d published, %d in the log, %d acked", w.published, len(w.partition.log), len(w.acked))
		}
	})
}

// calm delivers everything, and then advances the time.
func (w *world) calm(t *rapid.T) {
	for len(w.requests) > 0 {
		w.arrive(nil, nil)
	}
	for len(w.answers) > 0 {
		w.hear(0)
	}
	if at, ok := w.window.Wake(); ok {
		w.now = at
	}
	w.send(t)
	w.settle(t)
}
