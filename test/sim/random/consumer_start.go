package random

import (
	"time"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/sim/world"
)

// startConsumers starts three consumers. One follows the log from its beginning, and one from
// a place that is drawn. The third is bounded, and is followed by another bounded one when it
// ends.
func (r *run) startConsumers() {
	for slot := range 3 {
		r.after(r.between(0, 2*time.Second), func() { r.startConsumer(slot) })
	}
}

func (r *run) startConsumer(slot int) {
	of := r.some()
	c := &consumer{Consumer: &world.Consumer{Number: len(r.consumers), Partition: of.Index}, slot: slot}
	r.consumers = append(r.consumers, c)
	switch slot {
	case 0:
		c.Wanted = protocol.FetchRequest{From: protocol.FromEarliest, Follow: true, Frames: true, WindowBytes: r.window()}
	case 1:
		c.Wanted = r.startingPlace(of)
		c.Wanted.Follow, c.Wanted.WindowBytes = true, r.window()
	default:
		c.Wanted = r.startingPlace(of)
		c.Wanted.Frames = r.chance(0.5)
		if r.chance(0.5) {
			c.Wanted.WindowBytes = r.window()
		}
		if r.chance(0.5) {
			c.Wanted.MaxRecords = int64(1 + r.rng.IntN(40))
		}
		if r.chance(0.5) {
			c.Wanted.MaxWait = int64(r.rng.IntN(1000))
			if c.Wanted.WindowBytes == 0 {
				// Without a window there are no heartbeats, so the answer must arrive before the consumer
				// stops waiting.
				c.Wanted.MaxWait = min(c.Wanted.MaxWait, (silence / 2).Milliseconds())
			}
		}
	}
	if c.Wanted.Offset != nil {
		c.Reader.StartAt(*c.Wanted.Offset)
	}
	r.fetchNow(c)
	r.listen(c)
}

// window draws a window of a few frames or records.
func (r *run) window() int64 { return 1 + int64(r.rng.IntN(400)) }

func (r *run) startingPlace(of *world.Partition) protocol.FetchRequest {
	if start := of.Log.History().Start; start > 0 && r.chance(0.3) {
		gone := r.rng.Int64N(start)
		return protocol.FetchRequest{Offset: &gone}
	}
	switch end := r.checks[of.Index].NextOffset(); r.rng.IntN(4) {
	case 0:
		return protocol.FetchRequest{From: protocol.FromEarliest}
	case 1:
		return protocol.FetchRequest{From: protocol.FromLatest}
	case 2:
		at := world.Beginning.Add(r.between(0, r.elapsed()+time.Second))
		if r.config.Mix.Retain > 0 && r.chance(0.5) {
			at = pick(r, of.Log.Committed).Entry.Entry.At().Add(r.between(-1, 1)) // that of a clock that is wrong, perhaps, or of a record that is dropped
		}
		return protocol.FetchRequest{Time: &at}
	default:
		offset := r.rng.Int64N(end + 1)
		return protocol.FetchRequest{Offset: &offset}
	}
}
