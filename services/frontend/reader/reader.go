package reader

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

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// What ends a fetch from outside.
var (
	errDeleted = protocol.NewError(protocol.CodeUnknownTopic, "the topic was deleted")
	errLeft    = errors.New("the consumer has cancelled the fetch")
	errStopped = protocol.NewError(protocol.CodeUnavailable, "the frontend stops")
	errBroken  = protocol.NewError(protocol.CodeUnavailable, "the frontend was disconnected from NATS; messages may be missing")
)

// Reader serves the fetches of a frontend. It is safe for concurrent use.
//
// The mutex guards which partitions and fetches there are. A fetch is one
// goroutine that alone owns its place in the log; a partition knows where its
// log ends.
type Reader struct {
	config   Config
	entries  *entryCache
	payloads *payloadCache
	loads    slots

	ctx    context.Context // of all fetches
	cancel context.CancelCauseFunc
	wait   sync.WaitGroup

	mu         sync.RWMutex
	partitions map[protocol.Partition]*partition
	open       int
	stopped    bool

	dropped, abandoned, messages, bytes atomic.Uint64
}

// Stats are counters of a Reader since its start.
type Stats struct {
	Dropped   uint64 // requests without a reply subject
	Abandoned uint64 // fetches that ended because their consumer went silent
	Messages  uint64 // records or frames sent
	Bytes     uint64 // payload bytes sent
}

// New returns a Reader that serves no partition yet. Stop must be called.
func New(config Config) *Reader {
	config = config.orDefaults()
	r := &Reader{
		config:     config,
		entries:    newEntryCache(config.CacheBytes / 4),
		payloads:   newPayloadCache(config.CacheBytes - config.CacheBytes/4),
		loads:      make(slots, maxLoads),
		partitions: make(map[protocol.Partition]*partition),
	}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	return r
}

// Open starts to serve fetches of a partition. A partition that is open stays so.
func (r *Reader) Open(topic protocol.Topic, number int) error {
	id := topic.Partition(number)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return fmt.Errorf("open partition %s for fetches: %w", id, errStopped)
	}
	if r.partitions[id] != nil {
		return nil
	}
	p := newPartition(r.config, id)
	sub, err := r.config.Conn.QueueSubscribe(id.FetchSubject(), messages.FrontendQueue, func(m *nats.Msg) { r.receive(p, m) })
	if err != nil {
		return fmt.Errorf("open partition %s for fetches: %w", id, err)
	}
	p.sub = sub
	r.partitions[id] = p
	return nil
}

// Close stops serving a partition: its fetches end with why, which says whether their
// consumers may go on elsewhere. It does not wait for them.
func (r *Reader) Close(id protocol.Partition, why *protocol.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.partitions[id]
	if p == nil {
		return
	}
	delete(r.partitions, id)
	r.unsubscribe(p)
	p.closed = why
	for f := range p.fetches {
		f.cancel(why)
	}
}

func (r *Reader) unsubscribe(p *partition) {
	if err := transport.Unsubscribe(p.sub); err != nil {
		r.config.Logger.Warn("a fetch subject could not be left", zap.Stringer("partition", p.id), zap.Error(err))
	}
}

// Committed tells of an entry that is in the log: readers get it from memory,
// and those that wait at the end of the partition go on.
func (r *Reader) Committed(m messages.Committed, entry messages.Entry) {
	r.mu.RLock()
	p := r.partitions[m.Partition]
	r.mu.RUnlock()
	if p == nil || entry.TopicID != m.Partition.TopicID {
		return
	}
	r.entries.put(p.id, messages.LoggedEntry{Sequence: m.Sequence, Entry: entry})
	p.advance(position{sequence: m.Sequence, readable: m.Sequence, offset: entry.NextOffset()})
}

// ReadOnly tells what the log of a partition has lost, as its replicator says; empty is
// nothing. Fetches end with that error behind what can be read, instead of waiting.
func (r *Reader) ReadOnly(id protocol.Partition, damage string) {
	r.mu.RLock()
	p := r.partitions[id]
	r.mu.RUnlock()
	if p == nil {
		return
	}
	var err *protocol.Error
	if damage != "" {
		err = protocol.Errorf(protocol.CodePartitionDamaged, "partition %s: %s", id, damage)
	}
	p.setReadOnly(err)
}

// interest is for how long payloads are still remembered once a partition's last
// fetch has ended, for consumers that fetch again and again.
const interest = time.Minute

// Wanted says whether somebody reads the partition, or has just done so. What
// nobody reads is not worth remembering: that takes time for every batch.
func (r *Reader) Wanted(id protocol.Partition) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p := r.partitions[id]
	return p != nil && (len(p.fetches) > 0 || time.Since(p.left) < interest)
}

// Remember keeps the payload of an extent in memory for those who read it soon.
// The payload must not change any more. One that is not what the extent says is
// left out, so that memory never shows other bytes than the store does.
func (r *Reader) Remember(extent messages.Extent, payload []byte) {
	if err := objectstore.Verify(extent, payload); err != nil {
		r.config.Logger.Error("an extent does not hold the batch that was sent", zap.Error(err))
		return
	}
	r.payloads.put(extent, payload)
}

// Refresh is called after a disconnection, in which news of commits, messages
// to consumers and their credits may have been lost. It ends the fetches that
// cannot know whether their consumer has everything, with a retryable error,
// and shows the others where their logs end now, which may be earlier than before
// if the server has lost something. It does not wait.
func (r *Reader) Refresh() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	r.entries.clear()
	var watched []*partition
	for _, p := range r.partitions {
		for f := range p.fetches {
			if f.unconfirmed() {
				f.cancel(errBroken)
			}
		}
		if len(p.fetches) > 0 {
			watched = append(watched, p)
		}
	}
	r.wait.Go(func() { r.refresh(watched) })
}

func (r *Reader) refresh(watched []*partition) {
	var group errgroup.Group
	group.SetLimit(8)
	for _, p := range watched {
		group.Go(func() error {
			if err := p.renew(r.ctx); err != nil && r.ctx.Err() == nil {
				r.config.Logger.Warn("the end of a log could not be looked up; its readers try again",
					zap.Stringer("partition", p.id), zap.Error(err))
			}
			return nil
		})
	}
	_ = group.Wait() // the functions return no errors
}

// OpenFetches returns how many fetches are under way.
func (r *Reader) OpenFetches() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.open
}

// Stats returns the counters.
func (r *Reader) Stats() Stats {
	return Stats{Dropped: r.dropped.Load(), Abandoned: r.abandoned.Load(), Messages: r.messages.Load(), Bytes: r.bytes.Load()}
}

// Stop refuses new fetches, ends those under way with a retryable status and
// waits for them. Further calls wait too.
func (r *Reader) Stop(ctx context.Context) error {
	r.mu.Lock()
	if !r.stopped {
		r.stopped = true
		for _, p := range r.partitions {
			r.unsubscribe(p)
		}
		r.cancel(errStopped)
	}
	r.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		r.wait.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		return fmt.Errorf("stop the reader: %d fetches have not ended: %w", r.OpenFetches(), ctx.Err())
	}
	return r.flush(ctx)
}

// flush sends the last statuses on their way. Without a connection there is
// nobody to send them to.
func (r *Reader) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.config.LogTimeout)
	defer cancel()
	err := r.config.Conn.FlushWithContext(ctx)
	if err == nil || errors.Is(err, nats.ErrConnectionClosed) || !r.config.Conn.IsConnected() {
		return nil
	}
	return fmt.Errorf("stop the reader: send the last statuses: %w", err)
}
