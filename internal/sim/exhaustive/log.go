package exhaustive

import (
	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator"
)

// disk is what a replicator has under way with the log: one thing at most.
type disk struct {
	append *appending
	read   *replicator.Read
	acked  uint64 // an append has landed there, and its ack is on its way
	failed bool   // an append was refused, and that is on its way
}

func (d disk) busy() bool { return d != disk{} }

// appending is an append on its way to the log.
type appending struct {
	expected uint64
	data     string
}

// land lets an append come to the log, which compares and sets.
func (w *world) land(a *appending) (sequence uint64, landed bool) {
	if a.expected != uint64(len(w.log)) {
		return 0, false
	}
	entry, err := messages.DecodeEntry([]byte(a.data))
	if err != nil {
		w.violated("an entry cannot be read: %v", err)
		return 0, false
	}
	w.log = append(w.log, messages.LoggedEntry{Sequence: a.expected + 1, Entry: entry})
	w.say("entry %d is in the log: %+v", a.expected+1, entry)
	w.committed(&entry)
	return a.expected + 1, true
}

// work brings what a replicator has under way with the log one step further.
func (w *world) work(p *process) {
	d := p.disk
	p.disk = disk{}
	switch {
	case d.append != nil:
		sequence, landed := w.land(d.append)
		p.disk = disk{acked: sequence, failed: !landed}
		if w.alone() {
			w.work(p) // nothing can come in between
		}
	case d.read != nil:
		end := uint64(len(w.log))
		from := min(d.read.From-1, end)
		to := min(end, from+uint64(d.read.Limit))
		w.stepReplicator(p, replicator.LogRead{Entries: w.log[from:to:to], AtEnd: to == end})
	case d.acked != 0:
		w.say("%s gets the ack of entry %d", p, d.acked)
		w.stepReplicator(p, replicator.Appended{Sequence: d.acked})
	case d.failed:
		w.say("the append of %s has failed", p)
		w.stepReplicator(p, replicator.AppendFailed{})
	}
}

// alone says whether the log has no second writer, now or later: then it is all
// the same when an append lands, if only it does so before its ack.
func (w *world) alone() bool { return w.scope.Victim != Replicator && w.scope.Late == 0 }

// loseAck lets an append land, and loses the ack.
func (w *world) loseAck(p *process) {
	a := p.disk.append
	p.disk = disk{}
	w.land(a)
	w.say("the ack for %s is lost", p)
	w.stepReplicator(p, replicator.AppendFailed{})
}

// loseAppend loses an append, or the ack of one; the replicator waits no longer.
func (w *world) loseAppend(p *process) {
	p.disk = disk{}
	w.say("an append of %s or its ack is lost", p)
	w.stepReplicator(p, replicator.AppendFailed{})
}

// delayAppend gives an append up that may still land.
func (w *world) delayAppend(p *process) {
	w.late = append(w.late, p.disk.append)
	p.disk = disk{}
	w.say("%s gives up an append that is late", p)
	w.stepReplicator(p, replicator.AppendFailed{})
}
