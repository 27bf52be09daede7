package sim

import (
	"fmt"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/stager"
)

// store is the object store: what is durable, by extent.
type store struct {
	objects  int
	payloads map[messages.Extent]batchKey
}

// usual is how long an upload takes at most that is not slow.
const usual = 60 * time.Millisecond

// upload stores an object, after a while or not at all.
func (w *world) upload(p *process, o *stager.Object) {
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
		if fails {
			w.counts.StagingFailed++
			w.say("  ! an upload of %s fails: %s", p, uploaded(o))
			p.run(func() {
				p.service.(*stagerService).step(stager.Uploaded{
					Object: o, Failed: protocol.NewError(protocol.CodeStoreUnavailable, "simulated"),
				})
			})
			return
		}
		if p.dead && w.chance(0.8) {
			w.counts.UnsyncedLost++
			w.say("  ! an upload of %s was not synced: %s", p, uploaded(o))
			return // it was written, but not synced
		}
		// It is durable whether or not its stager lives to see it.
		w.store.objects++
		done := stager.Uploaded{Object: o, Size: o.Bytes}
		for i := range o.Batches {
			x := messages.Extent{
				Key: fmt.Sprint("object-", w.store.objects), Offset: int64(i), Length: int64(len(o.Batches[i].Payload)), CRC: 1,
			}
			w.store.payloads[x] = readKey(o.Batches[i].Payload)
			done.Extents = append(done.Extents, x)
		}
		p.run(func() { p.service.(*stagerService).step(done) })
	})
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
}

func newStager(p *process) service {
	settings := stager.Settings{
		ObjectBytes: 1 << 20, ObjectBatches: 1 + p.w.rng.IntN(3), Uploads: 16, MemoryBytes: p.w.config.StagerBytes,
	}
	if p.w.config.Mix.OneLane {
		// Batches of one object share its fate, and those of one stager its memory.
		settings.ObjectBatches, settings.Uploads, settings.MemoryBytes = 1, 1<<10, 1<<20
	}
	return &stagerService{p, stager.NewCore(settings), settings.MemoryBytes}
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
