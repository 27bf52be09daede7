package storecheck

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"maps"
	"slices"

	"laneway.dev/internal/archive"
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
// called in this order: segment and archivedBatch for all segments, freezeSegments, manifest for all
// manifests, batch and object for all other objects, freeze, the others for all logs, finish.
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
	// archived are hashes of the contents of batches that segments have.
	archived  []uint64
	segments  map[string]*stored
	manifests map[string]int64    // sizes of those that no log was found to name
	beyond    map[uint64]struct{} // hashes of the keys of damaged objects that are not named
	lost      map[protocol.Partition]*Lost
	found     bool // the store has something that a log refers to, damaged or not
}

// object is a whole object.
type object struct {
	key      uint64 // its hash
	size     int64
	referred bool
	archived bool // segments have batches of it
}

func newComparison(withLogs bool) *comparison {
	c := &comparison{
		report: Report{Store: Store{Errors: []string{}}, Damaged: []*Object{}, Unfinished: []*Object{}},
		seed:   maphash.MakeSeed(), named: make(map[string]*Object),
		segments: make(map[string]*stored), manifests: make(map[string]int64),
		beyond: make(map[uint64]struct{}), lost: make(map[protocol.Partition]*Lost),
	}
	if withLogs {
		c.report.Logs = &Logs{Problems: []string{}, Lost: []*Lost{}}
	}
	return c
}

// segment adds a segment that was read.
func (c *comparison) segment(key string, s *stored) {
	c.segments[key] = s
	c.report.Store.Segments.add(s)
	switch {
	case s.err != nil:
		c.name(key, s.size, s.err)
	case len(s.lost) > 0:
		named := c.name(key, s.size, s.lost[0].err)
		if named == nil || c.report.Logs != nil {
			return
		}
		for _, lost := range s.lost {
			named.affect(lost.affected(s.footer.Partition, lost.to-lost.from))
		}
	}
}

func (l *lostPart) affected(p protocol.Partition, records int64) Affected {
	return Affected{Topic: p.Topic, Partition: p.Number, Batches: l.batches, Records: records, Offsets: &repair.Offsets{From: l.from, To: new(l.to)}}
}

// freezeSegments ends the segments.
func (c *comparison) freezeSegments() { slices.Sort(c.archived) }

// archivedBatch adds an intact batch of a segment.
func (c *comparison) archivedBatch(p protocol.Partition, b *messages.Placeholder) {
	if c.report.Logs != nil {
		c.archived = append(c.archived, maphash.Comparable(c.seed, content(p, b.Records, b.Extent)))
	}
}

// manifest adds a manifest or a list, and the error if it cannot be read.
func (c *comparison) manifest(o objectstore.Listed, err error) {
	c.report.Store.Manifests.add(o.Size)
	if err != nil {
		c.name(o.Key, o.Size, err)
		return
	}
	c.manifests[o.Key] = o.Size
}

// nameSegment notes that a log needs a segment whose footer can be read.
func (c *comparison) nameSegment(s *stored) {
	if s.named {
		return
	}
	s.named = true
	c.report.Logs.Archived.add(s)
	c.report.Logs.GivenUpRecords += s.footer.Damaged
}

// batch adds an intact batch of an object, and reports whether a segment has it.
func (c *comparison) batch(b *objectstore.StoredBatch) (archived bool) {
	c.report.Store.Batches++
	c.report.Store.Records += int64(b.Records)
	if c.report.Logs == nil {
		return false
	}
	c.batches = append(c.batches, maphash.Comparable(c.seed, b.Extent))
	return c.isArchived(b)
}

// isArchived reports whether a segment has a batch of an object, which need not be intact there.
func (c *comparison) isArchived(b *objectstore.StoredBatch) bool {
	_, archived := slices.BinarySearch(c.archived, maphash.Comparable(c.seed, content(b.Partition, b.Records, b.Extent)))
	return archived
}

// object adds an object, after its batches and its damage.
func (c *comparison) object(o objectstore.Listed, whole, referred, archived bool) {
	c.report.Store.Objects++
	c.report.Store.Bytes += o.Size
	if named := c.named[o.Key]; named != nil {
		named.Referenced, named.archived = referred, archived
	}
	if whole && c.report.Logs != nil {
		c.objects = append(c.objects, object{key: maphash.String(c.seed, o.Key), size: o.Size, referred: referred, archived: archived})
	}
}

// referArchived notes that an archived entry refers to an object.
func (c *comparison) referArchived(key string) {
	if at, known := c.find(key); known {
		c.objects[at].archived = true
	} else if named := c.named[key]; named != nil {
		named.archived = true
	}
}

// find returns the place of a whole object. The objects MUST be frozen.
func (c *comparison) find(key string) (int, bool) {
	return slices.BinarySearchFunc(c.objects, maphash.String(c.seed, key), func(o object, key uint64) int { return cmp.Compare(o.key, key) })
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
	c.count(b)
	if at, known := c.find(b.Extent.Key); known {
		c.objects[at].referred, c.found = true, true
	} else if named := c.named[b.Extent.Key]; named != nil {
		named.Referenced = true
		c.found = c.found || named.Damage != Missing
	}
	_, found := slices.BinarySearch(c.batches, maphash.Comparable(c.seed, b.Extent))
	return found
}

// count counts a batch of a log.
func (c *comparison) count(b *messages.Placeholder) {
	c.report.Logs.Batches++
	c.report.Logs.Records += int64(b.Records)
}

// inline handles a batch whose payload is in the log. If it is corrupt, the log is damaged, and no
// object.
func (c *comparison) inline(p protocol.Partition, offset int64, b *messages.Placeholder) {
	c.count(b)
	if _, err := b.InlineFrame(); err != nil {
		c.report.Logs.Problems = append(c.report.Logs.Problems, fmt.Sprintf("%s: offset %d: %v", p, offset, err))
		c.addLost(p, lostPart{offset, offset + int64(b.Records), 1, err}, int64(b.Records))
	}
}

// lose handles a batch of a log that cannot be read.
func (c *comparison) lose(p protocol.Partition, offset int64, b *messages.Placeholder, err error) {
	c.loseRange(p, b.Extent.Key, 0, lostPart{offset, offset + int64(b.Records), 1, err}, int64(b.Records))
}

// loseRange handles a part of a log that cannot be read because of an object. records is the number
// of records in the part, as far as it is known.
func (c *comparison) loseRange(p protocol.Partition, key string, size int64, part lostPart, records int64) {
	if named := c.name(key, size, part.err); named != nil {
		named.Referenced = true
		named.affect(part.affected(p, records))
	}
	c.addLost(p, part, records)
}

// addLost adds a part of a log that cannot be read to what is lost of its partition.
func (c *comparison) addLost(p protocol.Partition, part lostPart, records int64) {
	one := part.affected(p, records)
	lost := c.lost[p]
	if lost == nil {
		lost = &Lost{Topic: p.Topic, Partition: p.Number}
		c.lost[p] = lost
	}
	lost.Batches += part.batches
	lost.Records += records
	if n := len(lost.Offsets); n > 0 && *lost.Offsets[n-1].To == part.from {
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

// mayBeUnfinished reports whether an upload that is under way may look like the damage.
func mayBeUnfinished(d objectstore.Damage) bool {
	return d == objectstore.Torn || d == archive.DamagedFooter || d == archive.DamagedManifest
}

// torn returns the torn objects without a lost batch. Their uploads may have been running, so
// they may be whole or removed now.
func (c *comparison) torn() map[string]*Object {
	torn := make(map[string]*Object)
	for key, o := range c.named {
		if mayBeUnfinished(o.Damage) && len(o.Affects) == 0 {
			torn[key] = o
		}
	}
	return torn
}

// forget removes a torn object. If it still exists, it is added again.
func (c *comparison) forget(o *Object) {
	delete(c.named, o.Key)
	store := &c.report.Store
	of := &store.Manifests
	switch objectstore.KeyKind(o.Key) {
	case objectstore.KindManifest:
	case objectstore.KindSegment:
		delete(c.segments, o.Key)
		of = &store.Segments.Counted
	default:
		store.Objects--
		store.Bytes -= o.Size
		return
	}
	of.Objects--
	of.Bytes -= o.Size
}

// finish returns the report.
func (c *comparison) finish() *Report {
	r := &c.report
	r.MoreDamaged = int64(len(c.beyond))
	for _, key := range slices.Sorted(maps.Keys(c.named)) {
		switch o := c.named[key]; {
		case r.Logs != nil && o.archived && !o.Referenced && len(o.Affects) == 0:
			r.Logs.addWaiting(o.Size, true) // damaged, and of no use any more
		case r.Logs != nil && len(r.Logs.Problems) == 0 && mayBeUnfinished(o.Damage) && !o.Referenced:
			r.Unfinished = append(r.Unfinished, o)
		default:
			r.Damaged = append(r.Damaged, o)
		}
	}
	if r.Logs != nil {
		c.finishLogs(r.Logs)
	}
	return r
}

func (c *comparison) finishLogs(l *Logs) {
	for _, lost := range c.lost {
		lost.Offsets = joined(lost.Offsets)
		l.Lost = append(l.Lost, lost)
	}
	slices.SortFunc(l.Lost, func(a, b *Lost) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	for _, o := range c.objects {
		if !o.referred {
			l.addWaiting(o.size, o.archived)
		}
	}
	for key, s := range c.segments {
		if !s.named && c.named[key] == nil {
			l.addWaiting(s.size, false)
		}
	}
	for _, size := range c.manifests {
		l.addWaiting(size, false)
	}
}

// joined sorts ranges of offsets, and joins those that follow each other.
func joined(ranges []repair.Offsets) []repair.Offsets {
	slices.SortFunc(ranges, func(a, b repair.Offsets) int { return cmp.Compare(a.From, b.From) })
	kept := ranges[:0]
	for _, o := range ranges {
		if n := len(kept); n > 0 && *kept[n-1].To >= o.From {
			kept[n-1].To = new(max(*kept[n-1].To, *o.To))
		} else {
			kept = append(kept, o)
		}
	}
	return kept
}
