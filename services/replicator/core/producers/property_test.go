package producers_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core/producers"
)

const (
	ids         = 7 // producers, of which the table takes fewer
	shortExpiry = 3 * time.Hour
)

// comparison drives a table and its model side by side.
type comparison struct {
	*rapid.T
	table  *producers.Table
	model  *model
	now    time.Time
	flying []*producers.Producer // of what the model has in flight
	joined map[*record]*producers.Original
	end    int64
}

func newComparison(t *rapid.T) *comparison {
	limit := rapid.IntRange(1, ids).Draw(t, "limit")
	c := &comparison{
		T: t, table: producers.New(shortExpiry, limit), model: newModel(limit),
		now: start, joined: map[*record]*producers.Original{},
	}
	c.advance(0)
	return c
}

func (c *comparison) pick(n int, what string) int { return rapid.IntRange(0, n-1).Draw(c.T, what) }

func (c *comparison) advance(d time.Duration) {
	c.now = c.now.Add(d)
	c.table.Advance(c.now)
	c.model.times = append(c.model.times, c.now)
}

// draw makes a batch that mostly continues its producer, or repeats.
func (c *comparison) draw() batch {
	b := batch{Sequence: messages.Sequence{ProducerID: int64(1 + c.pick(ids, "id"))}}
	b.records = rapid.SampledFrom([]uint32{1, 1, 2, 3, 1 << 30}).Draw(c.T, "records")
	b.First = rapid.SampledFrom([]int32{0, 0, 1, 5, math.MaxInt32, math.MaxInt32 - 1}).Draw(c.T, "first")
	if h := c.model.producers[b.ProducerID]; h != nil {
		c.follow(&b, h)
	}
	b.unacked = rapid.SampledFrom([]int32{b.First, b.First, protocol.NotSaid, 0, 4}).Draw(c.T, "first unacked")
	return b
}

// follow makes a batch one that a producer with a history may send.
func (c *comparison) follow(b *batch, h *history) {
	b.ProducerEpoch = h.epoch()
	switch c.pick(10, "epoch") {
	case 0:
		b.ProducerEpoch++
		return
	case 1:
		b.ProducerEpoch = max(0, b.ProducerEpoch-1)
	}
	span := h.batches()
	if len(span) == 0 {
		return
	}
	switch c.pick(8, "kind") {
	case 0: // anything
	case 1, 2: // a repetition
		r := span[len(span)-1-c.pick(min(len(span), producers.Kept+3), "repeats")]
		b.First, b.records = r.First, r.records()
	case 3:
		b.First = protocol.AddSequence(span[len(span)-1].last, 2)
	default:
		b.First = next(span[len(span)-1].last)
	}
}

func (c *comparison) send() {
	b := c.draw()
	j := c.table.Decide(b.Sequence, b.records, b.unacked)
	c.evicted()
	want := c.model.decide(b)
	got := answer{result: j.Result}
	if j.Refusal != nil {
		got.code = j.Refusal.Code
	}
	if got.result != want.result || got.code != want.code {
		c.Fatalf("%+v gets %+v, want %+v", b, j, want)
	}
	switch j.Result {
	case producers.Accept:
		c.flying = append(c.flying, c.table.Accept(j, b.Sequence, b.records))
		c.model.accept(&record{Sequence: b.Sequence, last: protocol.AddSequence(b.First, int64(b.records)-1)})
	case producers.Duplicate:
		if j.Offset != want.record.offset {
			c.Fatalf("%+v is at %d, want %d", b, j.Offset, want.record.offset)
		}
	case producers.DuplicateInFlight:
		if o := c.joined[want.record]; o != nil && o != j.Original {
			c.Fatalf("two repetitions of %+v have different originals", b)
		}
		c.joined[want.record] = j.Original
	}
}

func (c *comparison) fence() {
	f := messages.ProducerFence{ProducerID: int64(1 + c.pick(ids, "id"))}
	f.Name = fmt.Sprint("name of ", f.ProducerID)
	if h := c.model.producers[f.ProducerID]; h != nil {
		f.ProducerEpoch = max(0, h.epoch())
	}
	f.ProducerEpoch = max(0, f.ProducerEpoch+int16(c.pick(3, "epoch"))-1)
	p, logged, got := c.table.Fence(f, false)
	c.evicted()
	if want := c.model.fence(f.ProducerID, f.ProducerEpoch); got != want {
		c.Fatalf("fence %+v: result %d, want %d", f, got, want)
	}
	if got == producers.FenceAccepted {
		c.flying = append(c.flying, p)
		c.model.accept(&record{
			Sequence: messages.Sequence{ProducerID: f.ProducerID, ProducerEpoch: f.ProducerEpoch}, fence: true, anew: logged.Anew,
		})
	}
}

// commit makes some of what is in flight committed.
func (c *comparison) commit() {
	for range min(len(c.flying), 1+c.pick(3, "commits")) {
		c.table.Commit(c.flying[0], c.end)
		c.flying = c.flying[1:]
		r := c.model.commit(c.end)
		if o := c.joined[r]; o != nil && o.Offset != c.end {
			c.Fatalf("who repeats %+v is told %d, want %d", r, o.Offset, c.end)
		}
		c.end++
	}
}

func (c *comparison) rollBack() {
	c.table.RollBack()
	c.model.rollBack()
	c.flying = nil
	clear(c.joined)
}

// restart continues with a table that was restored from a snapshot.
func (c *comparison) restart() {
	restored := producers.New(shortExpiry, c.model.limit)
	restored.Restore(c.table.At(), c.table.Snapshot())
	c.table = restored
	c.rollBack()
}

// evicted forgets in the model what the table has forgotten, if it may.
func (c *comparison) evicted() {
	for id, h := range c.model.producers {
		if _, known := c.table.Known(id); known || len(h.committed(h.records)) == 0 {
			continue
		}
		if idle := c.model.idle(h); idle <= shortExpiry {
			c.Fatalf("producer %d is forgotten after %v", id, idle)
		}
		delete(c.model.producers, id)
	}
}

func (c *comparison) evict() {
	c.table.Evict()
	c.evicted()
	for id, h := range c.model.producers {
		if idle := c.model.idle(h); idle > shortExpiry*25/24 && !h.lost {
			c.Fatalf("producer %d is remembered after %v", id, idle)
		}
	}
}

// check compares what is known of every producer.
func (c *comparison) check() {
	if c.table.Len() != len(c.model.producers) {
		c.Fatalf("%d producers are remembered, want %d", c.table.Len(), len(c.model.producers))
	}
	for id := int64(1); id <= ids; id++ {
		got, known := c.table.Known(id)
		h := c.model.producers[id]
		if h == nil || len(h.committed(h.records)) == 0 {
			if known {
				c.Fatalf("producer %d is known", id)
			}
			continue
		}
		logged := history{records: h.committed(h.records)}
		span := logged.batches()
		if !known || got.ProducerEpoch != logged.epoch() || got.HasLast != (len(span) > 0) ||
			got.HasLast && got.Last != span[len(span)-1].last {
			c.Fatalf("producer %d: known is %+v (%t), want %+v", id, got, known, logged)
		}
	}
}

func TestTableDecidesLikeModel(t *testing.T) {
	for i := range 20 { // a hundred draws each
		t.Run(fmt.Sprint(i), func(t *testing.T) { checkTable(t) })
	}
}

func checkTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newComparison(t)
		t.Repeat(map[string]func(*rapid.T){
			"send":      func(*rapid.T) { c.send() },
			"send more": func(*rapid.T) { c.send(); c.send(); c.send() },
			"fence":     func(*rapid.T) { c.fence() },
			"commit":    func(*rapid.T) { c.commit() },
			"fail":      func(*rapid.T) { c.rollBack() },
			"pass": func(*rapid.T) {
				steps := []time.Duration{time.Second, time.Minute, shortExpiry / 24, 30 * time.Hour, -time.Hour}
				c.advance(rapid.SampledFrom(steps).Draw(c.T, "step"))
				c.evict()
			},
			"restart": func(*rapid.T) { c.restart() },
			"replay":  func(*rapid.T) { c.replay() },
			"":        func(*rapid.T) { c.check() },
		})
	})
}

// replay reads the log into another table and checks that it decides alike about what is
// known of producers that are remembered. It may know more: it counts less time.
func (c *comparison) replay() {
	read := producers.New(shortExpiry, c.model.limit)
	for _, r := range c.model.log {
		read.Advance(r.at)
		read.Evict()
		if r.fence {
			read.ApplyFence(messages.LoggedFence{
				ProducerFence: messages.ProducerFence{ProducerID: r.ProducerID, ProducerEpoch: r.ProducerEpoch}, Anew: r.anew,
			})
		} else {
			read.ApplyBatch(r.Sequence, r.records(), r.offset)
		}
	}
	for id, h := range c.model.producers {
		logged := history{records: h.committed(h.records)}
		if len(logged.records) < len(h.records) || h.lost || h.hidden {
			continue // the log does not tell of all its activity
		}
		want, _ := c.table.Known(id)
		got, known := read.Known(id)
		if got.Age, got.Name = want.Age, want.Name; !known || got != want {
			c.Fatalf("producer %d: known from the log is %+v (%t), want %+v", id, got, known, want)
		}
		c.checkBatches(read, id, logged.epoch(), logged.batches())
	}
}

// checkBatches checks what a table from the log says of the last batches of a
// producer, and of those that it may send next.
func (c *comparison) checkBatches(read *producers.Table, id int64, epoch int16, span []*record) {
	judge := func(first int32, records uint32) producers.Decision {
		return read.Decide(messages.Sequence{ProducerID: id, ProducerEpoch: epoch, First: first}, records, first)
	}
	for i, r := range slices.Backward(span[max(0, len(span)-producers.Kept):]) {
		if j := judge(r.First, r.records()); j.Result != producers.Duplicate || j.Offset != r.offset {
			c.Fatalf("batch %d of producer %d gets %+v from a table from the log", i, id, j)
		}
	}
	if len(span) == 0 {
		return
	}
	first := next(span[len(span)-1].last)
	if j := judge(first, 1); j.Result != producers.Accept {
		c.Fatalf("the next batch of producer %d gets %+v from a table from the log", id, j)
	}
	if j := judge(next(first), 1); j.Result != producers.Refuse {
		c.Fatalf("a gap of producer %d gets %+v from a table from the log", id, j)
	}
}
