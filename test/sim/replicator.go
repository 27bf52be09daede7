package sim

import (
	"errors"
	"maps"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	replicator "laneway.dev/services/replicator/core"
)

// replicatorService is a replicator with what it has under way.
type replicatorService struct {
	p     *process
	epoch uint64
	core  *replicator.Core

	appending bool
	snapshot  uint64 // entry of the newest one that it was offered
	replayed  uint64 // entries that it had read before that
	led       bool
}

func newReplicator(p *process) service {
	s := replicator.DefaultSettings(p.String())
	s.Heartbeat, s.LaneExpiry = heartbeat, laneExpiry
	if most := p.w.config.Mix.MaxLanes; most > 0 {
		s.MaxLanes = most
	}
	if m := &p.w.config.Mix; m.Memory > 0 {
		s.ProducerExpiry, s.IDWindow, s.MaxProducers = m.Memory, m.Memory, m.MaxProducers
	}
	s.EntryItems, s.ReadEntries = 1+p.w.rng.IntN(12), 1+p.w.rng.IntN(20)
	s.SnapshotEvery = uint64(3 + p.w.rng.IntN(40))
	s.Epoch = p.firstEpoch()
	return &replicatorService{p: p, epoch: s.Epoch, core: replicator.NewCore(partition, s)}
}

// takeEpoch asks the registry for an epoch. The shell asks for the assignment also before
// it claims a log; here it does not, as if it could never be read then.
func (s *replicatorService) takeEpoch(above uint64) {
	w := s.p.w
	epoch, replaced := s.p.takeEpoch(s.epoch, above)
	if replaced {
		s.step(replicator.Replaced{Err: errReplaced})
		return
	}
	s.epoch = epoch
	w.say("%s takes the epoch %d", s.p, s.epoch)
	s.step(replicator.EpochTaken{Epoch: s.epoch})
}

var errReplaced = errors.New("a younger replicator runs")

func (s *replicatorService) listens(subject string) bool {
	return subject == replicatorSubject
}

func (s *replicatorService) tick() { s.step() }

func (s *replicatorService) receive(arrived []any) {
	events := make([]replicator.Event, len(arrived))
	for i, a := range arrived {
		if r, is := a.(messages.Release); is && s.core.Stats().Leading {
			s.p.w.checks.released(s.p, r)
		}
		events[i] = a
	}
	s.step(events...)
}

func (s *replicatorService) step(events ...replicator.Event) {
	w := s.p.w
	fx := s.core.Step(s.p.now(), events)
	switch {
	case fx.Ended != nil:
		w.counts.Replaced++
		s.p.die("replaced")
		return
	case fx.TakeEpoch != 0:
		s.takeEpoch(fx.TakeEpoch)
		return
	}
	for _, e := range fx.Send {
		w.checks.said(s.p, e.Message)
	}
	s.p.send(fx.Send)
	switch {
	case fx.Append != nil:
		s.append(*fx.Append)
	case fx.Read != nil:
		w.after(fx.Read.After+w.between(time.Millisecond, 5*time.Millisecond), func() {
			entries, atEnd := w.log.read(fx.Read.From, fx.Read.Limit)
			last := uint64(len(w.log.committed))
			s.p.run(func() { s.step(replicator.LogRead{Entries: entries, AtEnd: atEnd, Last: last}) })
		})
	case fx.Load:
		w.checks.view(s.p).forget() // it starts over: another owner may have moved its mark
		w.after(time.Millisecond, func() {
			s.p.run(func() {
				loaded := w.loadSnapshots()
				s.snapshot, s.replayed, s.led = 0, s.core.Stats().Replayed, false
				if len(loaded.Snapshots) > 0 {
					s.snapshot = loaded.Snapshots[0].Sequence
				}
				s.step(loaded)
			})
		})
	}
	if st := s.core.Stats(); st.Leading && !s.led {
		s.led = true
		st.Replayed -= s.replayed
		w.checks.began(s.p, s.snapshot, st)
	}
	if fx.Damage != "" {
		w.violated("damage: %s calls the log damaged, because %s", s.p, fx.Damage)
	}
	if fx.Mark != nil {
		s.mark(*fx.Mark)
	}
	if fx.Scrub != nil {
		w.after(time.Second, func() { s.p.run(func() { s.step(replicator.Scrubbed{}) }) })
	}
	if fx.Save != nil {
		data := messages.EncodeSnapshot(*fx.Save)
		sequence := fx.Save.Sequence
		w.after(w.between(time.Millisecond, 400*time.Millisecond), func() {
			w.saveSnapshot(s.p, fx.Save, data)
			s.p.run(func() { s.step(replicator.Saved{Sequence: sequence}) })
		})
	}
}

// mark writes a mark by compare-and-set. It may come to that after its owner has died.
func (s *replicatorService) mark(m replicator.WriteMark) {
	w := s.p.w
	w.counts.Marks++
	way := w.between(300*time.Microsecond, 5*time.Millisecond)
	if w.fault(w.config.Mix.LateAppend) {
		way = w.between(appendTimeout/2, 2*appendTimeout)
	}
	w.after(way, func() {
		var event replicator.Event = replicator.MarkConflict{Mark: m.Mark, Found: w.mark}
		if m.Revision == w.mark.Revision {
			w.mark = replicator.FoundMark{Mark: m.Mark, Revision: m.Revision + 1, Exists: true}
			event = replicator.MarkWritten{Mark: m.Mark, Revision: w.mark.Revision}
		} else {
			w.counts.MarksMoved++
		}
		w.after(w.between(200*time.Microsecond, 3*time.Millisecond), func() { s.p.run(func() { s.step(event) }) })
	})
}

// append brings an append to the log and its answer back; either may be lost, and
// the append may come after it was given up.
func (s *replicatorService) append(a replicator.Append) {
	w := s.p.w
	view := w.checks.view(s.p)
	view.sent++
	number := view.sent
	s.appending = true
	settled := false
	once := func(e replicator.Event) {
		if !settled {
			settled = true
			s.p.run(func() {
				s.appending = false
				if _, acked := e.(replicator.Appended); acked {
					view.acked = number
				} else {
					view.forget()
				}
				s.step(e)
			})
		}
	}
	way := w.between(200*time.Microsecond, 3*time.Millisecond)
	if w.fault(w.config.Mix.LateAppend) {
		w.counts.LateAppends++
		way = w.between(appendTimeout/2, 2*appendTimeout)
		w.say("  ! an append of %s is late by %s", s.p, way.Round(time.Millisecond))
	}
	ackLost := w.fault(w.config.Mix.LoseAck)
	if ackLost {
		w.counts.AcksLost++
		w.say("  ! the acknowledgement of an append of %s will be lost", s.p)
	}
	w.after(way, func() {
		w.log.propose(s.p.String(), a.Expected, a.Data, func(sequence uint64) {
			if !ackLost {
				w.after(w.between(200*time.Microsecond, 3*time.Millisecond), func() { once(replicator.Appended{Sequence: sequence}) })
			}
		}, func() {
			w.after(w.between(200*time.Microsecond, 3*time.Millisecond), func() { once(replicator.AppendFailed{Moved: true}) })
		})
	})
	w.after(appendTimeout, func() { once(replicator.AppendFailed{}) })
}

// saveSnapshot stores a snapshot, if its writer lives; the last two are kept.
func (w *world) saveSnapshot(p *process, s *messages.Snapshot, data []byte) {
	if p.dead {
		return
	}
	if w.newest == nil || s.Sequence >= w.newest.Sequence {
		w.newest = s
	}
	if w.fault(w.config.Mix.SnapshotDamage) {
		w.counts.SnapshotsDamaged++
		w.say("  ! the snapshot of entry %d is damaged", s.Sequence)
		data = slices.Clone(data)
		data[w.rng.IntN(len(data))] ^= 1 << w.rng.IntN(8)
	}
	w.counts.Snapshots++
	w.say("  %s has stored a snapshot of entry %d", p, s.Sequence)
	w.snapshots[s.Sequence] = data
	for len(w.snapshots) > 2 {
		delete(w.snapshots, slices.Min(slices.Collect(maps.Keys(w.snapshots))))
	}
}

func (w *world) loadSnapshots() replicator.Loaded {
	loaded := replicator.Loaded{Mark: w.mark}
	for _, sequence := range slices.Backward(slices.Sorted(maps.Keys(w.snapshots))) {
		if s, err := messages.DecodeSnapshot(w.snapshots[sequence]); err == nil {
			loaded.Snapshots = append(loaded.Snapshots, s)
			w.counts.SnapshotStarts++
		}
	}
	return loaded
}
