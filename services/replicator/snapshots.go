package replicator

import (
	"context"
	"time"

	"go.uber.org/zap"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
)

const (
	// confirmTimeout bounds how long a recovery waits for the proof that the log is this instance's.
	confirmTimeout = 5 * time.Second
	// loadTimeout bounds the search for a snapshot: a log that was not purged can be read
	// instead.
	loadTimeout = 10 * time.Second
	saveTimeout = time.Minute
)

// load loads the mark and the newest readable snapshot, and passes them to the core. Without
// a snapshot the log is read from its beginning.
//
// This is the first step of a recovery, so it waits first until the record of the role proves that the log is this
// instance's. A replicator that was suspended may find a partition that was created in the meantime. The log of this
// partition may have no term record of the successor yet, and would not stop the replicator.
// If the record cannot be read, only the term records in the log decide.
func (p *owner) load(ctx context.Context) {
	p.service.tenures.Confirm(ctx, confirmTimeout)
	var loaded core.Loaded
	if !p.atStart.Swap(false) || !p.service.snapshots.None(ctx, p.id) {
		loaded, _ = recovering(ctx, p.service, p.loadSnapshots) // an error means that the actor ends
	}
	found := false
	if loaded.Mark, found = p.findMark(ctx); found {
		p.put(loaded)
	}
}

// loadSnapshots returns the snapshots that can be read. It has no error.
func (p *owner) loadSnapshots(ctx context.Context) (loaded core.Loaded, _ error) {
	bounded, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	log := p.service.config.Logger.With(zap.Stringer("partition", p.id))
	err := p.service.snapshots.Load(bounded, p.id, func(data []byte) bool {
		s, err := messages.DecodeSnapshot(data)
		if err != nil {
			log.Warn("a snapshot is damaged; an older one is used, or the whole log is read", zap.Error(err))
			loaded.Trouble = err.Error()
			return false
		}
		loaded.Snapshots = append(loaded.Snapshots, s)
		return true
	})
	if err != nil && ctx.Err() == nil {
		log.Warn("no snapshot can be read; the log is read from its beginning, which may take long", zap.Error(err))
		loaded.Trouble = err.Error()
	}
	return loaded, nil
}

// save stores a snapshot and reads it back, because entries of the log may be purged after
// that. It runs outside the actor's goroutine, because encoding a snapshot with millions of
// lanes takes long.
func (p *owner) save(ctx context.Context, s *core.Save) {
	bounded, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	data := messages.EncodeSnapshot(s.Snapshot)
	_, err := messages.DecodeSnapshot(data)
	if err == nil {
		err = p.service.snapshots.Save(bounded, p.id, s.Sequence, s.Keep, data)
	}
	if err != nil && ctx.Err() == nil {
		p.service.config.Logger.Warn("a snapshot could not be saved; until the next one, a restart takes longer, and the log is not purged",
			zap.Stringer("partition", p.id), zap.Error(err))
	}
	p.put(core.Saved{Sequence: s.Sequence, Failed: err != nil})
}
