package embedded

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// ErrStorage says that JetStream has stopped writing and that only a restart
// makes it write again.
var ErrStorage = errors.New("JetStream has stopped writing after an error of its disk")

const (
	// storageInterval is how often the streams are looked at.
	storageInterval = time.Second
	// storageRoom is what must be free before a restart is worth it, and
	// storageSettled how often in a row it must be found: a disk that is still
	// filling up would only stop the next start.
	storageRoom    = 16 << 20
	storageSettled = 3
)

// storageWatch decides when a server must be restarted. A stream of JetStream
// that failed to write refuses all appends from then on, in silence, even when
// the disk has room again; what it holds can still be read. So the server is
// kept for its readers for as long as the disk is full. It belongs to one
// goroutine.
type storageWatch struct {
	roomy int // how often in a row there was room for a restart
}

// look takes note of what is wrong with the storage, if anything is, and of the
// bytes that are free. It says whether a restart would help now.
func (w *storageWatch) look(problem string, free int64) bool {
	if problem == "" || free < storageRoom {
		w.roomy = 0
		return false
	}
	w.roomy++
	return w.roomy >= storageSettled
}

// watchStorage runs until ctx ends or the server must be restarted, which it
// tells once.
func (s *Server) watchStorage(ctx context.Context, log *zap.Logger, broken func(error)) {
	tick := time.NewTicker(storageInterval)
	defer tick.Stop()
	var watch storageWatch
	for scarce := false; ; {
		problem, free := s.storageProblem(), s.freeSpace()
		scarce = s.tellRoom(log, free, scarce)
		if problem != "" && s.problem.Swap(&problem) == nil {
			log.Error("JetStream has stopped writing; its readers are served, and it must be restarted when its disk has room",
				zap.String("problem", problem), zap.Int64("free", free))
		}
		if watch.look(problem, free) {
			broken(fmt.Errorf("%w, and there are %d bytes free now: %s", ErrStorage, free, problem))
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tellRoom logs when room becomes scarce, and when it is there again. It
// returns whether room is scarce.
func (s *Server) tellRoom(log *zap.Logger, free int64, before bool) bool {
	scarce := free < storageRoom
	switch {
	case scarce && !before:
		log.Error("the disk of the data folder has almost no room left, and nothing can be written when it is full: make room",
			zap.String("folder", s.folder), zap.Int64("free", free))
	case before && !scarce:
		log.Info("the disk of the data folder has room again", zap.Int64("free", free))
	}
	return scarce
}

// storageProblem returns why a stream, or JetStream as a whole, takes no writes
// any more; empty if all do.
func (s *Server) storageProblem() string {
	if !s.nats.Running() {
		return ""
	}
	if !s.nats.JetStreamEnabled() {
		return "JetStream has been disabled"
	}
	for _, e := range s.nats.Healthz(&server.HealthzOptions{Details: true}).Errors {
		// A stream that cannot be read is an error too, but no restart cures it.
		if e.Type == server.HealthzErrorStream && strings.Contains(e.Error, "write error") {
			return e.Error
		}
	}
	return ""
}

// freeSpace returns how many bytes the data folder's file system has left; 0 if
// it cannot be asked.
func (s *Server) freeSpace() int64 {
	var stat unix.Statfs_t
	if unix.Statfs(s.folder, &stat) != nil {
		return 0
	}
	return int64(stat.Bavail) * int64(stat.Bsize)
}
