package sim

import (
	"fmt"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	stager "laneway.dev/services/stager/core"
)

// store is the object store: what is durable, by extent.
type store struct {
	objects  int
	payloads map[messages.Extent]batchKey
}

// usual is how long an upload takes at most that is not slow.
const usual = 60 * time.Millisecond

// upload puts an object until that succeeds, or until the core of its stager says that it is
// over.
func (w *world) upload(p *process, o *stager.Object) {
	attempts := stager.NewAttempts(o)
	w.put(p, o, &attempts)
}

// put stores an object, after a while or not at all.
func (w *world) put(p *process, o *stager.Object, attempts *stager.Attempts) {
	took := w.between(2*time.Millisecond, usual)
	if w.fault(w.config.Mix.SlowStore) {
		w.counts.SlowUploads++
		took = w.between(300*time.Millisecond, 2*time.Second)
	}
	fails := w.fault(w.config.Mix.StoreFails)
	if w.slow(o) {
		w.counts.SlowUploads++
		took = w.between(300*time.Millisecond, 3*time.Second)
		fails = fails || w.fault(w.config.Mix.OneLaneFails)
	}
	if took > usual {
		w.say("  ! an upload of %s takes %s: %s", p, took.Round(time.Millisecond), uploaded(o))
	}
	w.after(took, func() {
		switch {
		case fails:
			w.say("  ! an upload of %s fails: %s", p, uploaded(o))
			p.run(func() { p.service.(*stagerService).failed(o, attempts) })
		case p.dead && w.chance(0.8):
			w.counts.UnsyncedLost++
			w.say("  ! an upload of %s was not synced: %s", p, uploaded(o))
		default:
			// It is durable whether or not its stager lives to see it.
			done := w.stored(o)
			p.run(func() { p.service.(*stagerService).step(done) })
		}
	})
}

func (w *world) stored(o *stager.Object) stager.Uploaded {
	w.store.objects++
	done := stager.Uploaded{Object: o, Size: o.Bytes}
	for i := range o.Batches {
		x := messages.Extent{
			Key: fmt.Sprint("object-", w.store.objects), Offset: int64(i), Length: int64(len(o.Batches[i].Payload)), CRC: 1,
		}
		w.store.payloads[x] = readKey(o.Batches[i].Payload)
		done.Extents = append(done.Extents, x)
	}
	return done
}

// uploaded tells what is in an object.
func uploaded(o *stager.Object) string {
	first := &o.Batches[0]
	return fmt.Sprintf("%s ticket %d and %d other batches", first.Lane, first.Number, len(o.Batches)-1)
}

// slow says whether an object has a batch of the lane that is slow.
func (w *world) slow(o *stager.Object) bool {
	if w.calm || w.slowLane < 0 {
		return false
	}
	return slices.ContainsFunc(o.Batches, func(b stager.Batch) bool { return b.Lane == w.clients[w.slowLane].key })
}

// stagerService is a stager.
type stagerService struct {
	p     *process
	core  *stager.Core
	bytes int64 // that it may hold
	fails int   // puts that have failed
}

func newStager(p *process) service {
	settings := stager.Settings{
		ObjectBytes: 1 << 20, ObjectBatches: 1 + p.w.rng.IntN(3), Uploads: 16, MemoryBytes: p.w.config.StagerBytes,
	}
	if p.w.config.Mix.OneLane {
		// Batches of one object share its fate, and those of one stager its memory.
		settings.ObjectBatches, settings.Uploads, settings.MemoryBytes = 1, 1<<10, 1<<20
	}
	return &stagerService{p: p, core: stager.NewCore(settings), bytes: settings.MemoryBytes}
}

func (s *stagerService) listens(subject string) bool { return subject == messages.StageSubject }

func (s *stagerService) tick() { s.step() }

func (s *stagerService) receive(arrived []any) {
	events := make([]stager.Event, len(arrived))
	for i, a := range arrived {
		events[i] = a
	}
	s.step(events...)
}

func (s *stagerService) step(events ...stager.Event) {
	fx := s.core.Step(s.p.now(), events)
	s.p.send(fx.Send)
	for _, o := range fx.Uploads {
		s.p.w.upload(s.p, o)
	}
}

// failed is a put that has failed: in turn because the store is full, which is final, and
// for a reason that may pass.
func (s *stagerService) failed(o *stager.Object, attempts *stager.Attempts) {
	w := s.p.w
	s.fails++
	pause, refused := attempts.Failed(s.p.now(), stager.Failure{Detail: "simulated", Full: s.fails%2 == 1}, w.rng.Float64())
	if refused != nil {
		w.counts.StagingFailed++
		s.step(stager.Uploaded{Object: o, Failed: refused})
		return
	}
	w.counts.PutsRepeated++
	w.after(pause, func() { s.p.run(func() { w.put(s.p, o, attempts) }) })
}
