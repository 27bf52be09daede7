package history

import (
	"context"
	"errors"
	"sync"
	"time"
	"unsafe"

	"github.com/maypok86/otter/v2"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
)

// Config is what a Reader needs. Zero values take their defaults.
type Config struct {
	Store      objectstore.Store
	CacheBytes int64         // of manifests, footers and pages; default 4 MiB
	Timeout    time.Duration // of one request to the store; default 30 s
	// Failed is called with the error of each request that failed for a reason that may pass, and
	// Altered with that of content that did not match its checksum. Both may be nil, and are
	// called by many goroutines.
	Failed, Altered func(error)
}

// requestsAtOnce is how many requests of a Reader run at the same time. With the largest requests,
// it bounds the memory for content that is not in the cache.
const requestsAtOnce = 16

// damageMemory is how long damage is remembered. A consumer that skips damaged records, and a
// search, ask for the same object again and again, and each time it would be read several times.
// After that it is read again, in case the object was restored.
const damageMemory = 10 * time.Second

// Reader reads histories. It keeps what it has read in memory, and reads nothing twice at the
// same time. It is safe for concurrent use.
type Reader struct {
	config   Config
	cache    *otter.Cache[part, item] // indexes, and damage of pages
	pages    *pageBuffer
	requests chan struct{} // a semaphore

	mu      sync.Mutex
	flights map[part]*flight // parts that are being read
}

// part is what is read and kept as one: a page of a segment, or the index of an object, which is
// a manifest, a list or a footer.
type part struct {
	object string
	page   int // index for none
}

const index = -1

// item is a part in the cache, or why it is damaged.
type item struct {
	value  any // *manifest.Manifest, *manifest.List or *segment.Footer; nil for a page
	damage *Damage
	until  time.Time // when the damage is forgotten
}

// flight is a part that a goroutine reads. Others wait for it.
type flight struct {
	done      chan struct{} // closed after the other fields are set
	value     any
	err       error
	abandoned bool // there is no result
}

// New returns a Reader with an empty cache.
func New(config Config) *Reader {
	if config.CacheBytes <= 0 {
		config.CacheBytes = 4 << 20
	}
	if config.Timeout <= 0 {
		config.Timeout = 30 * time.Second
	}
	if config.Failed == nil {
		config.Failed = func(error) {}
	}
	if config.Altered == nil {
		config.Altered = func(error) {}
	}
	return &Reader{
		config: config, requests: make(chan struct{}, requestsAtOnce), flights: make(map[part]*flight),
		pages: newPageBuffer(config.CacheBytes - config.CacheBytes/4),
		cache: otter.Must(&otter.Options[part, item]{
			MaximumWeight: uint64(config.CacheBytes / 4),
			Weigher:       func(p part, i item) uint32 { return uint32(overhead + len(p.object) + i.weight()) },
		}),
	}
}

const (
	// overhead is the memory of a cache item without its content, in bytes: its node and its slots
	// in the tables of the cache.
	overhead    = 256
	summarySize = int(unsafe.Sizeof(segment.Summary{})) + 64 // with its key
	pageSize    = int(unsafe.Sizeof(segment.Page{}))
)

// weight returns the approximate memory of an item in bytes.
func (i item) weight() int {
	switch v := i.value.(type) {
	case *manifest.Manifest:
		return summarySize * (len(v.Lists) + len(v.Segments) + len(v.Waiting))
	case *manifest.List:
		return summarySize * len(v.Segments)
	case *segment.Footer:
		return summarySize + pageSize*len(v.Pages)
	}
	return 0
}

// inMemory returns a part that is in memory, or its damage.
func (r *Reader) inMemory(p part) (value any, damage *Damage, ok bool) {
	if p.page != index {
		if data, ok := r.pages.get(p); ok {
			return data, nil, true
		}
	}
	i, ok := r.cache.GetIfPresent(p)
	if !ok || i.damage != nil && time.Now().After(i.until) {
		return nil, nil, false
	}
	return i.value, i.damage, true
}

// get returns a part from the cache, or from load. If another goroutine is loading it, get waits
// for that one.
func get[T any](ctx context.Context, r *Reader, p part, load func() (T, error)) (T, error) {
	for {
		if value, damage, ok := r.inMemory(p); ok {
			if damage != nil {
				return *new(T), damage
			}
			return value.(T), nil
		}
		f, first := r.join(p)
		if first {
			// Another goroutine may have read it after inMemory looked.
			if _, _, ok := r.inMemory(p); ok {
				f.abandoned = true
				r.land(p, f)
				continue
			}
			value, err := load()
			f.value, f.err, f.abandoned = value, err, err != nil && ctx.Err() != nil
			r.land(p, f)
			return value, err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return *new(T), context.Cause(ctx)
		}
		if !f.abandoned {
			return f.value.(T), f.err
		}
	}
}

// join returns the flight for a part, and whether the caller is the one that reads it. That
// caller MUST call land.
func (r *Reader) join(p part) (f *flight, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[p]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	r.flights[p] = f
	return f, true
}

// land keeps the result of a flight, and passes it to those that wait for it.
func (r *Reader) land(p part, f *flight) {
	damage, isDamage := errors.AsType[*Damage](f.err)
	switch {
	case isDamage:
		r.cache.Set(p, item{damage: damage, until: time.Now().Add(damageMemory)})
	case f.err != nil || f.abandoned:
	case p.page != index:
		r.pages.put(p, f.value.([]byte))
	default:
		r.cache.Set(p, item{value: f.value})
	}
	r.mu.Lock()
	delete(r.flights, p)
	r.mu.Unlock()
	close(f.done)
}
