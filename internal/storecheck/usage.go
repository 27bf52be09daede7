package storecheck

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/repair"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Usage says what the bytes of a store are used for. An object can hold batches of several topics,
// so only the bytes of batches are counted by topic, and not those of heads and indexes.
type Usage struct {
	Place   string `json:"place"`
	ID      string `json:"id,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	// Objects and Bytes count the objects with batches below the cluster's id, without segments and
	// manifests.
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
	// LiveBytes are those of the batches that logs refer to, as they are stored.
	LiveBytes int64 `json:"live_bytes"`
	// OtherBytes are the rest of the objects that logs refer to: heads and indexes, and batches
	// to which no log refers.
	OtherBytes int64 `json:"other_bytes"`
	// Orphans are objects to which no log refers: those of deleted topics, of batches that were
	// staged twice or rejected, and of batches still under way.
	OrphanObjects int64 `json:"orphan_objects"`
	OrphanBytes   int64 `json:"orphan_bytes"`
	// MissingObjects counts the objects to which logs refer but which the store does not list.
	MissingObjects int64        `json:"missing_objects"`
	Topics         []TopicUsage `json:"topics"` // by name
	// Problems say which topics and logs are damaged, and what could not be listed. If there are
	// any, the usage is incomplete. Objects to which only damaged logs referred count as orphans.
	Problems []string `json:"problems"`
}

// TopicUsage is what the logs of a topic refer to. Bytes are those of the batches as they are
// stored: compressed, if a producer or a stager has compressed them.
type TopicUsage struct {
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"`
	Batches    int64  `json:"batches"`
	Records    int64  `json:"records"`
	Bytes      int64  `json:"bytes"`
}

// Usage reads all logs and lists the store. It needs a NATS server, reads no object, and changes
// nothing. A storeid.RefusedError means that the store is not the one of the server's services. It
// needs up to 48 bytes of memory per object, and 16 bytes per compressed block.
//
// The logs are read before the store is listed. Otherwise, an object that is stored in the
// meantime would count as missing. In this order, it counts as an orphan.
func (c *Checker) Usage(ctx context.Context) (*Usage, error) {
	c.comparison = newComparison(true)
	doubt, err := c.identify(ctx)
	if err != nil {
		return nil, err
	}
	store := c.comparison.report.Store
	u := &Usage{Place: store.Place, ID: store.ID, Cluster: store.Cluster, Topics: []TopicUsage{}, Problems: []string{}}
	references := newReferences()
	err = c.eachTopic(ctx, func(topic protocol.Topic, inspector *repair.Inspector) error {
		t := TopicUsage{Topic: topic.Name, Partitions: topic.Partitions}
		for number := range topic.Partitions {
			if err := c.log(ctx, inspector, topic.Partition(number), func(e *messages.Entry) error {
				t.add(e, references)
				return ctx.Err()
			}); err != nil {
				return err
			}
		}
		u.Topics = append(u.Topics, t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	u.Problems = append(u.Problems, c.comparison.report.Logs.Problems...)
	slices.SortFunc(u.Topics, func(a, b TopicUsage) int { return cmp.Compare(a.Topic, b.Topic) })
	ofLogs := len(u.Problems)
	if err := c.list(ctx, u, references); err != nil {
		return nil, err
	}
	switch found := u.Objects > u.OrphanObjects; {
	case doubt != nil && !found && len(u.Problems) == ofLogs:
		return nil, unrelated(doubt)
	case doubt != nil:
		u.Problems = append(u.Problems, doubt.Reason+": "+doubt.Advice)
	}
	return u, nil
}

// add counts the batches of an entry.
func (t *TopicUsage) add(e *messages.Entry, references *references) {
	for i := range e.Batches {
		b := &e.Batches[i]
		t.Batches++
		t.Records += int64(b.Records)
		t.Bytes += references.add(b.Extent)
	}
}

// list adds the objects of the store to a usage.
func (c *Checker) list(ctx context.Context, u *Usage, references *references) error {
	references.freeze()
	for o, err := range c.objects.List(ctx, string(objectstore.KindBatches)) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			u.Problems = append(u.Problems, err.Error())
			continue
		}
		u.Objects++
		u.Bytes += o.Size
		if live, referred := references.find(o.Key); referred {
			u.LiveBytes += live
			u.OtherBytes += o.Size - live
		} else {
			u.OrphanObjects++
			u.OrphanBytes += o.Size
		}
		c.addProgress(Progress{Objects: 1, Bytes: o.Size})
	}
	u.MissingObjects = references.missing()
	return nil
}

// references are the objects that logs refer to, as 64-bit hashes of their keys, because there
// may be many millions. The seed is random, so that keys with the same hash cannot be chosen.
type references struct {
	seed    maphash.Seed
	objects []reference         // sorted by hash up to sorted
	sorted  int                 // how many objects at the beginning are sorted and unique
	blocks  map[uint64]struct{} // hashes of the blocks that were counted
}

type reference struct {
	key   uint64
	bytes int64
	found bool
}

func newReferences() *references {
	return &references{seed: maphash.MakeSeed(), blocks: make(map[uint64]struct{})}
}

// add counts the extent of a batch, and returns the bytes that it adds. A compressed block is
// counted once, with the first of its batches; add returns 0 for the others.
func (r *references) add(x messages.Extent) (bytes int64) {
	bytes = x.Length
	if x.Compressed() {
		block := maphash.Comparable(r.seed, x.Stored())
		if _, counted := r.blocks[block]; counted {
			return 0
		}
		r.blocks[block] = struct{}{}
	}
	key := maphash.String(r.seed, x.Key)
	if n := len(r.objects); n > r.sorted && r.objects[n-1].key == key {
		r.objects[n-1].bytes += bytes
		return bytes
	}
	r.objects = append(r.objects, reference{key: key, bytes: bytes})
	if len(r.objects) > 2*r.sorted+1<<16 {
		r.freeze()
	}
	return bytes
}

// freeze sorts the objects and merges those with the same key.
func (r *references) freeze() {
	slices.SortFunc(r.objects, func(a, b reference) int { return cmp.Compare(a.key, b.key) })
	merged := r.objects[:0]
	for _, o := range r.objects {
		if n := len(merged); n > 0 && merged[n-1].key == o.key {
			merged[n-1].bytes += o.bytes
		} else {
			merged = append(merged, o)
		}
	}
	r.objects, r.sorted = merged, len(merged)
}

// find returns the live bytes of an object, and reports whether a log refers to it. The references MUST
// be frozen.
func (r *references) find(key string) (bytes int64, referred bool) {
	at, referred := slices.BinarySearchFunc(r.objects, maphash.String(r.seed, key), func(o reference, key uint64) int { return cmp.Compare(o.key, key) })
	if !referred {
		return 0, false
	}
	r.objects[at].found = true
	return r.objects[at].bytes, true
}

// missing returns how many objects find has not found.
func (r *references) missing() (n int64) {
	for _, o := range r.objects {
		if !o.found {
			n++
		}
	}
	return n
}
