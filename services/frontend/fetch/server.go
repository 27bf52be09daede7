package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"laneway.dev/internal/history"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	core "laneway.dev/services/frontend/core/fetch"
)

var errStopped = protocol.NewError(protocol.CodeUnavailable, "the frontend is stopping")

// Server serves the fetches of a frontend. It is safe for concurrent use.
//
// The mutex guards the sets of partitions and fetches. Each fetch is one goroutine, which
// owns its place in the log. Each partition tracks the end of its log for all of its
// fetches.
type Server struct {
	config   Config
	entries  *entryCache
	payloads *payloadCache
	blocks   *blockCache
	loads    slots
	ahead    slots
	reader   *storeReader

	history    *history.Reader
	prefetches slots

	ctx    context.Context // of all fetches
	cancel context.CancelCauseFunc
	wait   sync.WaitGroup

	mu         sync.RWMutex
	partitions map[protocol.Partition]*partition
	open       int
	stopped    bool

	dropped, abandoned, messages, bytes atomic.Uint64
}

// Stats are counters of a Server since its start.
type Stats struct {
	Dropped   uint64 // requests without a reply subject
	Abandoned uint64 // fetches that ended because their consumer went silent
	Messages  uint64 // records or frames sent
	Bytes     uint64 // payload bytes sent
	Altered   uint64 // payloads that did not match their checksum when they were read from the store
}

// New returns a Server that serves no partition yet. Stop must be called.
func New(config Config) *Server {
	config = config.orDefaults()
	s := &Server{
		config:     config,
		entries:    newEntryCache(config.CacheBytes / 4),
		payloads:   newPayloadCache(config.CacheBytes - config.CacheBytes/4 - config.CacheBytes/8),
		blocks:     newBlockCache(config.CacheBytes / 8),
		loads:      make(slots, maxLoads),
		ahead:      make(slots, maxAhead),
		prefetches: make(slots, maxPrefetches),
		partitions: make(map[protocol.Partition]*partition),
	}
	s.reader = newStoreReader(config, s.blocks)
	s.history = newHistoryReader(config, s.reader)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// Open starts serving fetches of a partition. It does nothing if the partition is open.
func (s *Server) Open(topic protocol.Topic, number int) error {
	id := topic.Partition(number)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return fmt.Errorf("open partition %s for fetches: %w", id, errStopped)
	}
	if s.partitions[id] != nil {
		return nil
	}
	p := newPartition(s.config, id)
	sub, err := s.config.Conn.QueueSubscribe(id.FetchSubject(), messages.FrontendQueue, func(m *nats.Msg) { s.receive(p, m) })
	if err != nil {
		return fmt.Errorf("open partition %s for fetches: %w", id, err)
	}
	p.sub = sub
	s.partitions[id] = p
	return nil
}

// Close stops serving a partition. Its fetches end with why; a retryable error lets their
// consumers continue with another frontend. Close does not wait for the fetches.
func (s *Server) Close(id protocol.Partition, why *protocol.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.partitions[id]
	if p == nil {
		return
	}
	delete(s.partitions, id)
	s.unsubscribe(p)
	p.closed = why
	for f := range p.fetches {
		f.cancel(why)
	}
}

func (s *Server) unsubscribe(p *partition) {
	if err := transport.Unsubscribe(p.sub); err != nil {
		s.config.Logger.Warn("a fetch subject could not be left", zap.Stringer("partition", p.id), zap.Error(err))
	}
}

// Committed handles an entry that is in the log: it is cached for readers, and fetches that
// wait at the end of the partition continue.
func (s *Server) Committed(m messages.Committed, entry messages.Entry) {
	s.mu.RLock()
	p := s.partitions[m.Partition]
	s.mu.RUnlock()
	if p == nil || entry.TopicID != m.Partition.TopicID {
		return
	}
	s.entries.put(p.id, messages.LoggedEntry{Sequence: m.Sequence, Entry: entry})
	p.advance(core.LogState{Last: m.Sequence, Readable: m.Sequence, Offset: entry.NextOffset(), History: entry.History})
}

// ReadOnly handles the replicator's report of what the log of a partition has lost; empty
// means nothing. Fetches deliver the records that can be read, and then end with the damage
// as their error instead of waiting.
func (s *Server) ReadOnly(id protocol.Partition, damage messages.ReadOnly) {
	s.mu.RLock()
	p := s.partitions[id]
	s.mu.RUnlock()
	if p == nil {
		return
	}
	var err *protocol.Error
	if damage.Damage != "" {
		err = damage.Err()
	}
	p.setReadOnly(err)
}

// interest is how long payloads are cached after a partition's last fetch has ended, for
// consumers that poll.
const interest = time.Minute

// Wanted reports whether the partition has a fetch, or had one within interest. Payloads
// without readers are not cached, because that costs time for every batch.
func (s *Server) Wanted(id protocol.Partition) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.partitions[id]
	return p != nil && (len(p.fetches) > 0 || time.Since(p.left) < interest)
}

// Remember adds the payload of an extent to the cache. The caller MUST NOT modify the payload
// afterwards. A payload that does not match the checksum of the extent is not added, so that
// a fetch never returns other bytes than the store has.
func (s *Server) Remember(extent messages.Extent, payload []byte) {
	if err := objectstore.VerifyFrame(extent, payload); err != nil {
		s.config.Logger.Error("the payload of a batch does not match its extent; it is not cached", zap.Error(err))
		return
	}
	s.payloads.put(extent, payload)
}

// Refresh MUST be called after a disconnection, in which Committed messages, messages to
// consumers and credits may have been lost. Fetches whose consumers may have missed a
// message end with a retryable error. For the others the end of the log is looked up; it
// may be lower than before, if the server has lost entries. The end of a log without fetches is looked up
// by the next one. Refresh does not wait.
func (s *Server) Refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.entries.clear()
	var watched []*partition
	for _, p := range s.partitions {
		for f := range p.fetches {
			select {
			case f.disconnected <- struct{}{}:
			default: // an earlier disconnection is still waiting to be handled
			}
		}
		if len(p.fetches) > 0 {
			watched = append(watched, p)
		} else {
			p.update((*core.LogEnd).Forget)
		}
	}
	s.wait.Go(func() { s.refresh(watched) })
}

func (s *Server) refresh(watched []*partition) {
	var group errgroup.Group
	group.SetLimit(8)
	for _, p := range watched {
		group.Go(func() error {
			if err := p.renew(s.ctx); err != nil && s.ctx.Err() == nil {
				s.config.Logger.Warn("the end of a log could not be looked up; its fetches will retry",
					zap.Stringer("partition", p.id), zap.Error(err))
			}
			return nil
		})
	}
	_ = group.Wait() // the functions return no errors
}

// OpenFetches returns how many fetches are under way.
func (s *Server) OpenFetches() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.open
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	return Stats{
		Dropped: s.dropped.Load(), Abandoned: s.abandoned.Load(), Messages: s.messages.Load(), Bytes: s.bytes.Load(),
		Altered: s.reader.altered.Load(),
	}
}

// Stop rejects new fetches, ends the open ones with a retryable status, and waits for them
// until ctx ends. It may be called more than once.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	if !s.stopped {
		s.stopped = true
		for _, p := range s.partitions {
			s.unsubscribe(p)
		}
		s.cancel(errStopped)
	}
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		s.wait.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		return fmt.Errorf("end the fetches: %d fetches have not ended: %w", s.OpenFetches(), ctx.Err())
	}
	return s.flush(ctx)
}

// flush waits until the last statuses have reached the server. Without a connection they
// cannot, and that is no error.
func (s *Server) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.LogTimeout)
	defer cancel()
	err := s.config.Conn.FlushWithContext(ctx)
	if err == nil || errors.Is(err, nats.ErrConnectionClosed) || !s.config.Conn.IsConnected() {
		return nil
	}
	return fmt.Errorf("end the fetches: send the last statuses: %w", err)
}
