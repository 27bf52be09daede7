package storecheck

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"maps"
	"slices"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/repair"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Limits of what a report names.
const (
	maxNamed  = 10_000 // damaged objects
	maxRanges = 1_000  // ranges of offsets of a partition
)

// comparison compares the objects of a store with the extents in the logs. Its methods are
// called in this order: batch and object for all objects, freeze, refer for all logs, finish.
// It is pure, and belongs to one goroutine.
//
// Intact batches and objects are stored as 64-bit hashes, because there may be many millions.
// The seed is random. That a lost batch has the hash of another one, and is not reported, is
// less probable than a wrong payload with the right checksum.
type comparison struct {
	report  Report
	seed    maphash.Seed
	batches []uint64 // hashes of the extents of whole batches
	objects []object // whole ones
	named   map[string]*Object
	beyond  map[uint64]struct{} // hashes of the keys of damaged objects that are not named
	lost    map[protocol.Partition]*Lost
	found   bool // the store has something that a log refers to, damaged or not
}

// object is a whole object.
type object struct {
	key      uint64 // its hash
	size     int64
	referred bool
}

func newComparison(withLogs bool) *comparison {
	c := &comparison{
		report: Report{Store: Store{Errors: []string{}}, Damaged: []*Object{}, Unfinished: []*Object{}},
		seed:   maphash.MakeSeed(), named: make(map[string]*Object),
		beyond: make(map[uint64]struct{}), lost: make(map[protocol.Partition]*Lost),
	}
	if withLogs {
		c.report.Logs = &Logs{Problems: []string{}, Lost: []*Lost{}}
	}
	return c
}

// batch adds an intact batch of an object.
func (c *comparison) batch(b *objectstore.StoredBatch) {
	c.report.Store.Batches++
	c.report.Store.Records += int64(b.Records)
	if c.report.Logs != nil {
		c.batches = append(c.batches, maphash.Comparable(c.seed, b.Extent))
	}
}

// object adds an object, after its batches and its damage.
func (c *comparison) object(o objectstore.Listed, whole, referred bool) {
	c.report.Store.Objects++
	c.report.Store.Bytes += o.Size
	if named := c.named[o.Key]; named != nil {
		named.Referenced = referred
	}
	if whole && c.report.Logs != nil {
		c.objects = append(c.objects, object{key: maphash.String(c.seed, o.Key), size: o.Size, referred: referred})
	}
}

// damaged adds an error about an object, or about one batch if the extent is set.
func (c *comparison) damaged(o objectstore.Listed, batch *objectstore.StoredBatch, err error) {
	named := c.name(o.Key, o.Size, err)
	if named != nil && c.report.Logs == nil && batch.Partition != (protocol.Partition{}) {
		named.affect(Affected{Topic: batch.Partition.Topic, Partition: batch.Partition.Number, Batches: 1, Records: int64(batch.Records)})
	}
}

// name returns the entry of a damaged object in the report; nil if it has too many. The
// first error about the object is the one that is reported.
func (c *comparison) name(key string, size int64, err error) *Object {
	if named := c.named[key]; named != nil {
		return named
	}
	if len(c.named) == maxNamed {
		c.beyond[maphash.String(c.seed, key)] = struct{}{}
		return nil
	}
	named := &Object{Key: key, Size: size, Staged: objectstore.KeyTime(key).UTC(), Affects: []Affected{}}
	named.Damage, named.Reason = describe(err)
	c.named[key] = named
	return named
}

func describe(err error) (objectstore.Damage, string) {
	if corrupt, ok := errors.AsType[*objectstore.CorruptError](err); ok {
		return corrupt.Damage, fmt.Sprintf("at byte %d, length %d: %s", corrupt.Offset, corrupt.Length, corrupt.Reason)
	}
	if errors.Is(err, objectstore.ErrNotFound) {
		return Missing, objectstore.ErrNotFound.Error()
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path // without the key, which the report has
	}
	return Unreadable, err.Error()
}

// freeze ends the objects.
func (c *comparison) freeze() {
	slices.Sort(c.batches)
	slices.SortFunc(c.objects, func(a, b object) int { return cmp.Compare(a.key, b.key) })
}

// refer handles a batch of a log, and reports whether the objects have it intact. If not, the
// caller reads the batch: its object may have been stored after the listing, or another part
// of the object may be damaged.
func (c *comparison) refer(b *messages.Placeholder) bool {
	c.report.Logs.Batches++
	c.report.Logs.Records += int64(b.Records)
	key := maphash.String(c.seed, b.Extent.Key)
	if at, known := slices.BinarySearchFunc(c.objects, key, func(o object, key uint64) int { return cmp.Compare(o.key, key) }); known {
		c.objects[at].referred, c.found = true, true
	} else if named := c.named[b.Extent.Key]; named != nil {
		named.Referenced = true
		c.found = c.found || named.Damage != Missing
	}
	_, found := slices.BinarySearch(c.batches, maphash.Comparable(c.seed, b.Extent))
	return found
}

// lose handles a batch of a log that cannot be read.
func (c *comparison) lose(p protocol.Partition, offset int64, b *messages.Placeholder, err error) {
	records := int64(b.Records)
	one := Affected{Topic: p.Topic, Partition: p.Number, Batches: 1, Records: records, Offsets: &repair.Offsets{From: offset, To: new(offset + records)}}
	if named := c.name(b.Extent.Key, 0, err); named != nil {
		named.Referenced = true
		named.affect(one)
	}
	lost := c.lost[p]
	if lost == nil {
		lost = &Lost{Topic: p.Topic, Partition: p.Number}
		c.lost[p] = lost
	}
	lost.Batches++
	lost.Records += records
	if n := len(lost.Offsets); n > 0 && *lost.Offsets[n-1].To == offset {
		lost.Offsets[n-1].To = one.To
	} else if n < maxRanges {
		lost.Offsets = append(lost.Offsets, *one.Offsets)
	}
}

// affect adds unreadable batches. If they follow the last range, that range grows.
func (o *Object) affect(more Affected) {
	for i := len(o.Affects) - 1; i >= 0; i-- {
		a := &o.Affects[i]
		if a.Topic != more.Topic || a.Partition != more.Partition {
			continue
		}
		if more.Offsets != nil && *a.To != more.From {
			break
		}
		a.Batches += more.Batches
		a.Records += more.Records
		if more.Offsets != nil {
			a.To = more.To
		}
		return
	}
	o.Affects = append(o.Affects, more)
}

// torn returns the torn objects without a lost batch. Their uploads may have been running, so
// they may be whole or removed now.
func (c *comparison) torn() map[string]*Object {
	torn := make(map[string]*Object)
	for key, o := range c.named {
		if o.Damage == objectstore.Torn && len(o.Affects) == 0 {
			torn[key] = o
		}
	}
	return torn
}

// forget removes a torn object. If it still exists, it is added again.
func (c *comparison) forget(o *Object) {
	delete(c.named, o.Key)
	c.report.Store.Objects--
	c.report.Store.Bytes -= o.Size
}

// finish returns the report.
func (c *comparison) finish() *Report {
	r := &c.report
	r.MoreDamaged = int64(len(c.beyond))
	for _, key := range slices.Sorted(maps.Keys(c.named)) {
		o := c.named[key]
		if r.Logs != nil && len(r.Logs.Problems) == 0 && o.Damage == objectstore.Torn && !o.Referenced {
			r.Unfinished = append(r.Unfinished, o)
		} else {
			r.Damaged = append(r.Damaged, o)
		}
	}
	if r.Logs == nil {
		return r
	}
	for _, lost := range c.lost {
		r.Logs.Lost = append(r.Logs.Lost, lost)
	}
	slices.SortFunc(r.Logs.Lost, func(a, b *Lost) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	for _, o := range c.objects {
		if !o.referred {
			r.Logs.UnreferencedObjects++
			r.Logs.UnreferencedBytes += o.size
		}
	}
	return r
}
