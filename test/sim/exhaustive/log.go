package exhaustive

import (
	"slices"

	"laneway.dev/pkg/messages"
	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/describe"
)

// disk is what a replicator has under way with the log: one thing at most.
type disk struct {
	append *appending
	read   replicator.Read // without a limit it is none
	acked  uint64          // an append has landed there, and its ack is on its way
	failed bool            // an append was refused, and that is on its way
}

func (d disk) busy() bool { return d != disk{} }

// appending is an append on its way to the log.
type appending struct {
	id       int
	expected uint64
	data     string
}

func (m *memo) appending(expected uint64, data string) *appending {
	key := appending{expected: expected, data: data}
	return find(m.appends, key, func(id int) *appending {
		key.id = id
		return &key
	})
}

// logged is the last entry of a log, with those before it.
type logged struct {
	id     int
	before *logged // nil is none
	data   string
}

func (m *memo) logged(before *logged, data string) *logged {
	key := logged{before: before, data: data}
	return find(m.logs, key, func(id int) *logged {
		key.id = id
		return &key
	})
}

// length returns the sequence of the last entry.
func (l *logged) length() uint64 {
	n := uint64(0)
	for ; l != nil; l = l.before {
		n++
	}
	return n
}

// reading tells a replicator what it asked for: the last entry of that, and how many
// there are.
type reading struct {
	last  *logged
	count int
	atEnd bool
}

// read returns what the log has from a sequence on.
func (l *logged) read(r replicator.Read) reading {
	end, atEnd := l.length(), true
	for ; end >= r.From+uint64(r.Limit); end-- {
		l, atEnd = l.before, false
	}
	return reading{l, int(end + 1 - min(r.From, end+1)), atEnd}
}

func (r reading) entries() replicator.LogRead {
	entries := make([]messages.LoggedEntry, r.count)
	l, sequence := r.last, r.last.length()
	for n := r.count - 1; n >= 0; n-- {
		entries[n] = messages.LoggedEntry{Sequence: sequence, Entry: decodeEntry([]byte(l.data))}
		l, sequence = l.before, sequence-1
	}
	return replicator.LogRead{Entries: entries, AtEnd: r.atEnd, Last: r.last.length()}
}

// land lets an append come to the log, which compares and sets.
func (w *world) land(a *appending) (sequence uint64, landed bool) {
	sequence = w.log.length() + 1
	if a.expected+1 != sequence {
		return 0, false
	}
	w.log = w.memo.logged(w.log, a.data)
	if w.trace != nil {
		e := decodeEntry([]byte(a.data))
		w.say("entry %d is in the log: %s", sequence, describe.Entry(&e))
	}
	w.committed(w.log)
	return sequence, true
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
	case d.read.Limit > 0:
		w.step(p, w.log.read(d.read))
	case d.acked != 0:
		w.say("%s gets the ack of entry %d", p, d.acked)
		w.step(p, replicator.Appended{Sequence: d.acked})
	case d.failed:
		w.say("the append of %s has failed", p)
		w.step(p, replicator.AppendFailed{})
	}
}

// alone says whether the log has no second writer, now or later: then it is all
// the same when an append lands, if only it does so before its ack.
func (w *world) alone() bool {
	if w.left.late > 0 || len(w.late) > 0 || w.scope.Victim == Replicator && w.left.disturb > 0 {
		return false
	}
	living := 0
	for i := range w.processes {
		if p := &w.processes[i]; p.role == Replicator && !p.dead {
			living++
		}
	}
	return living == 1
}

// loseAck lets an append land, and loses the ack.
func (w *world) loseAck(p *process) {
	a := p.disk.append
	p.disk = disk{}
	w.land(a)
	w.say("the ack for %s is lost", p)
	w.step(p, replicator.AppendFailed{})
}

// loseAppend loses an append, or the ack of one; the replicator waits no longer.
func (w *world) loseAppend(p *process) {
	p.disk = disk{}
	w.say("an append of %s or its ack is lost", p)
	w.step(p, replicator.AppendFailed{})
}

// delayAppend gives an append up that may still land.
func (w *world) delayAppend(p *process) {
	w.late = append(slices.Clip(w.late), p.disk.append)
	p.disk = disk{}
	w.say("%s gives up an append that is late", p)
	w.step(p, replicator.AppendFailed{})
}
