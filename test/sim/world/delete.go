package world

import (
	"laneway.dev/internal/core/journal"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	frontend "laneway.dev/services/frontend/core"
	"laneway.dev/services/frontend/core/fetch"
	"laneway.dev/test/sim/check"
)

// Added is a partition that was created, by its index, for a process that runs already.
type Added struct{ Of int }

// Removed is a partition that was deleted, by its index, for a process that runs already.
type Removed struct{ Of int }

// DeleteTopic deletes the topic of a partition, whose clients and consumers end. Processes that run learn of it by
// Removed, and DeleteLog deletes the log.
func (w *World) DeleteTopic(of *Partition) {
	of.Exists, of.Deleted = false, true
	w.SayOf(of, "the partition is deleted")
	w.See(of.Index, check.Removed{})
	for _, i := range w.Instances {
		i.Dead = i.Dead || w.Clients[i.Client].Partition == of.Index
	}
}

// DeleteLog has the log of a partition deleted, as AppendSection does.
func (w *World) DeleteLog(b *Writer, of *Partition, then func(journal.Done)) {
	w.AppendSection(b, 0, of.section(messages.SectionDeleted, nil), then)
}

var errDeleted = protocol.NewError(protocol.CodeUnknownTopic, "the topic was deleted")

// leavePartition lets a frontend leave a partition that was deleted: it answers all requests, and ends the fetches.
func (w *World) leavePartition(p *Process, of *Partition) {
	p.Shares[of.Index].Ready = false
	w.step(p, frontend.Ending{Partition: of.ID, Reason: frontend.Deleted})
	w.step(p, frontend.Removed{Partition: of.ID})
	if open := p.Stats.Of[of.Index].Open; open > 0 {
		w.violated(of, "memory: %s has left the partition, and keeps %d tickets", p, open)
	}
	if w.Fetches != nil {
		w.stepFetches(p, of, fetch.Closed{Why: errDeleted})
	}
}
