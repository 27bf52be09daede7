package core

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Stagers reports which stagers are alive. It replaces what was reported before.
type Stagers struct {
	// Live has the names of the stagers, sorted. The core keeps the slice and never changes it.
	Live []string
}

// Codec reports the codec of the topic after an update; empty if its plain frames are not
// compressed any more. Batches that were staged before keep the codec that their stager has
// got.
type Codec struct {
	Partition protocol.Partition
	Codec     protocol.Compression
}

// stageGroup has batches for one destination.
type stageGroup struct {
	stager  string // the stager that is to stage them; empty is any
	batches []messages.StageBatch
}

const (
	// itemsPerMessage bounds a message without payloads.
	itemsPerMessage = 2000
	// stageBytes bounds a Stage message with more than one batch. Several stagers then share
	// a burst, and the message stays far below NATS' max_payload.
	stageBytes = 1 << 20
)

// heard handles a message about batches that are to be staged. Tickets of another epoch are
// not among those of the core.
func (c *Core) heard(now time.Time, m any) {
	switch m := m.(type) {
	case messages.Refused:
		if m.Epoch == c.epoch {
			c.refused(now, &m)
		}
	case messages.Holding:
		if m.Epoch == c.epoch {
			c.holding(now, &m)
		}
	case messages.Missing:
		if m.Epoch == c.epoch {
			c.missing(now, m.Lanes)
		}
	}
}

// stageTicket sends a batch to a stager, by its name or, if that is empty, to any. The
// message contains the time that the ticket has left and not its deadline, because the
// clocks of the two machines may differ.
func (c *Core) stageTicket(now time.Time, t *ticket, stager string) {
	t.attempts++
	t.heardAt, t.restageAt, t.stager = now, time.Time{}, stager
	t.Floor = c.tickets.Floor(t.Lane)
	group := c.stageGroup(stager)
	group.batches = append(group.batches, messages.StageBatch{
		Submission: t.Submission,
		Attempt:    t.attempts,
		Remaining:  t.issued.Add(c.times.Deadline).Sub(now).Milliseconds(),
		Payload:    t.Payload,

		MaxRecordBytes: t.MaxRecordBytes,
		Inline:         c.inline.take(now, t),
	})
}

func (c *Core) stageGroup(stager string) *stageGroup {
	at := slices.IndexFunc(c.stage, func(g stageGroup) bool { return g.stager == stager })
	if at < 0 {
		at = len(c.stage)
		c.stage = append(c.stage, stageGroup{stager: stager})
	}
	return &c.stage[at]
}

// stageAgain stages a batch again after its last attempt was refused or is silent. It names a
// live stager other than the one with the last attempt: a stager that is frozen stays in the
// queue group until NATS notices, which takes minutes, and would get a part of the batches
// again. Live stagers take turns.
func (c *Core) stageAgain(now time.Time, t *ticket) {
	c.stats.Restaged++
	c.stageTicket(now, t, c.another(t.stager))
}

// another returns the live stager whose turn it is, leaving out one; empty if no other is
// known.
func (c *Core) another(than string) string {
	for range c.live {
		c.turn = (c.turn + 1) % len(c.live)
		if name := c.live[c.turn]; name != than {
			return name
		}
	}
	return ""
}

// setLive takes the names of the live stagers. Partitions start their turns at different
// stagers, so that one stager does not get the silent batches of all partitions.
func (c *Core) setLive(s Stagers) {
	c.live = s.Live
	if n := len(s.Live); n > 0 {
		c.turn = int(c.partition.Number) % n
	}
}

// holding handles a report of a stager that it still holds batches. Only the last attempt of
// a ticket counts: the stager of an earlier one was silent before, and may be so again.
func (c *Core) holding(now time.Time, m *messages.Holding) {
	for i := range m.Held {
		h := &m.Held[i]
		t, open := c.tickets.Find(h.Lane, h.Number)
		if open && h.Attempt == t.attempts && !t.refused[h.Attempt] {
			t.heardAt, t.stager = now, m.Stager
		}
	}
}

// flushStage sends the batches of this step, to each destination in messages of a bounded
// size.
func (c *Core) flushStage() {
	for _, g := range c.stage {
		subject := messages.StageSubject
		if g.stager != "" {
			subject = messages.StagerSubject(g.stager)
		}
		for start := 0; start < len(g.batches); {
			end, size := start, 0
			for end < len(g.batches) && end-start < itemsPerMessage {
				size += len(g.batches[end].Payload)
				if size > stageBytes && end > start {
					break
				}
				end++
			}
			c.send(subject, messages.Stage{Partition: c.partition, Epoch: c.epoch, Codec: c.codec, Batches: g.batches[start:end]})
			start = end
		}
	}
	c.stage = nil
}
