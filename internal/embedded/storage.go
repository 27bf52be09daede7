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

// ErrStorage means that JetStream has stopped writing, and writes again only after a restart.
var ErrStorage = errors.New("JetStream has stopped writing after an error of its disk")

const (
	// storageInterval is how often the streams are checked.
	storageInterval = time.Second
	// storageRoom is the free space that a restart needs, in bytes, and storageSettled how many
	// checks in a row must find it. On a disk that is still filling up, the restarted server
	// would stop writing again.
	storageRoom    = 16 << 20
	storageSettled = 3
)

// storageWatch decides when a server must be restarted. A stream that has failed to write
// rejects all later appends without an error in the log, even when the disk has room again. It
// can still be read, so the server is kept running for readers while the disk is full. It
// belongs to one goroutine.
type storageWatch struct {
	roomy int // checks in a row with room for a restart
}

// look handles the result of a check: the problem of the storage, or an empty string, and the
// free bytes. It reports whether a restart would help.
func (w *storageWatch) look(problem string, free int64) bool {
	if problem == "" || free < storageRoom {
		w.roomy = 0
		return false
	}
	w.roomy++
	return w.roomy >= storageSettled
}

// watchStorage checks the storage until ctx ends or the server must be restarted. Then it calls
// broken once.
func (s *Server) watchStorage(ctx context.Context, log *zap.Logger, broken func(error)) {
	tick := time.NewTicker(storageInterval)
	defer tick.Stop()
	var watch storageWatch
	for scarce := false; ; {
		problem, free := s.storageProblem(), s.freeSpace()
		scarce = s.logRoom(log, free, scarce)
		if problem != "" && s.problem.Swap(&problem) == nil {
			log.Error("JetStream has stopped writing; reads still work, and the server must be restarted when its disk has room",
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

// logRoom logs when free space becomes scarce, and when that ends. It returns whether it is scarce.
func (s *Server) logRoom(log *zap.Logger, free int64, before bool) bool {
	scarce := free < storageRoom
	switch {
	case scarce && !before:
		log.Error("the disk of the data folder is almost full; make room, because a full disk stops all writes",
			zap.String("folder", s.folder), zap.Int64("free", free))
	case before && !scarce:
		log.Info("the disk of the data folder has room again", zap.Int64("free", free))
	}
	return scarce
}

// storageProblem returns why a stream, or all of JetStream, rejects writes; empty if none does.
func (s *Server) storageProblem() string {
	if !s.nats.Running() {
		return ""
	}
	if !s.nats.JetStreamEnabled() {
		return "JetStream has been disabled"
	}
	for _, e := range s.nats.Healthz(&server.HealthzOptions{Details: true}).Errors {
		// A stream that cannot be read is also an error, but a restart does not help.
		if e.Type == server.HealthzErrorStream && strings.Contains(e.Error, "write error") {
			return e.Error
		}
	}
	return ""
}

// freeSpace returns the free bytes of the data folder's file system; 0 if it cannot be asked.
func (s *Server) freeSpace() int64 {
	var stat unix.Statfs_t
	if unix.Statfs(s.folder, &stat) != nil {
		return 0
	}
	return int64(stat.Bavail) * int64(stat.Bsize)
}
