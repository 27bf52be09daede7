package scripted

import (
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/world"
)

// archiving is whether the log is archived and purged, and how often owners save snapshots.
type archiving struct {
	on            bool
	snapshotEvery uint64
}

// set sets the settings of a replicator.
func (a archiving) set(s *replicator.Settings) {
	if !a.on {
		return
	}
	s.ArchiveBytes, s.ArchiveAge, s.SnapshotEvery, s.PurgeEntries = 1, time.Hour, a.snapshotEvery, 1
}

// startArchiving has the log archived by the replicators that are started from now on.
func (s *Script) startArchiving(snapshotEvery int) {
	s.archive = archiving{true, uint64(snapshotEvery)}
	s.Partitions[0].Evidence, s.Archive = world.NewEvidence(), world.NewArchive()
	s.limits.Object = s.Archive.Get
	s.Say("the log is archived")
}

// Mark implements world.Scheduler. Marks are written at once.
func (s *Script) Mark(p *world.Process, of *world.Partition, m replicator.WriteMark) {
	result, _ := of.Evidence.WriteMark(m)
	s.Result(p, of, result)
}

// Save implements world.Scheduler.
func (s *Script) Save(p *world.Process, of *world.Partition, n *replicator.Save) {
	s.start(&item{kind: "snapshot", from: p.Name, what: fmt.Sprintf("snapshot of entry %d", n.Sequence), arrives: func() {
		s.Say("  %s has stored a snapshot of entry %d", p, n.Sequence)
		s.Proven(of, of.Evidence.Store(n.Sequence, messages.EncodeSnapshot(n.Snapshot)), n)
		s.Result(p, of, replicator.Saved{Sequence: n.Sequence})
	}})
}

// Purge implements world.Scheduler.
func (s *Script) Purge(p *world.Process, of *world.Partition, what replicator.Purge) {
	s.start(&item{kind: "purge", from: p.Name, what: fmt.Sprintf("purge of the entries below %d", what.Below), arrives: func() {
		s.World.Purge(of, what.Below)
		s.Result(p, of, replicator.Purged(what))
	}})
}

// AskTime implements world.Scheduler.
func (s *Script) AskTime(p *world.Process, of *world.Partition) {
	s.start(&item{arrives: func() { s.Result(p, of, of.LogTime()) }})
}

// Scrub implements world.Scheduler. It finds nothing.
func (s *Script) Scrub(p *world.Process, of *world.Partition) {
	s.start(&item{arrives: func() { s.Result(p, of, replicator.Scrubbed{}) }})
}

// Job implements world.Scheduler. All steps of a job happen together.
func (s *Script) Job(p *world.Process, a messages.Archive) {
	s.start(&item{kind: "job", from: p.Name, what: fmt.Sprintf("job up to entry %d", a.To.Sequence), arrives: func() {
		j, err := world.NewJob(p, a)
		if err == nil {
			err = s.work(j)
		}
		s.Deliver(p, j.Finished(err))
	}})
}

func (s *Script) work(j *world.Job) error {
	put := func(step func(*world.Job) (world.Object, error)) (string, error) {
		o, err := step(j)
		if err == nil && o.Key != "" {
			s.Put(o)
		}
		return o.Key, err
	}
	waiting, err := s.Base(j)
	if err != nil {
		return err
	}
	j.Leave(waiting)
	if _, err := put(s.Drop); err != nil {
		return err
	}
	if _, err := s.ReadLog(j, 1<<20); err != nil {
		return err
	}
	if err := j.ReadFrames(func(x messages.Extent) []byte { return s.stored[x].Payload() }); err != nil {
		return err
	}
	segment, err := put(s.Segment)
	if err != nil {
		return err
	}
	for _, step := range []func(*world.Job) (world.Object, error){s.List, s.Retain} {
		if _, err := put(step); err != nil {
			return err
		}
	}
	manifest, err := put(s.Manifest)
	if err != nil {
		return err
	}
	s.Say("  %s has stored segment %s and manifest %s", j.By, segment, manifest)
	return nil
}
