package storecheck

import (
	"cmp"
	"hash/maphash"
	"slices"

	"laneway.dev/pkg/messages"
)

// references are the objects that logs refer to, as 64-bit hashes of their keys, because there
// may be many millions. The seed is random, so that keys with the same hash cannot be chosen.
type references struct {
	seed    maphash.Seed
	objects []reference         // sorted by hash up to sorted
	sorted  int                 // how many objects at the beginning are sorted and unique
	blocks  map[uint64]struct{} // hashes of the blocks that were counted
	archive map[string]bool     // segments, manifests and lists, and whether they were found
	waiting map[string]string   // objects that wait for their deletion, and the topics that they belonged to
}

type reference struct {
	key   uint64
	bytes int64
	use   use
	found bool
}

// use is what an object is needed for.
type use uint8

const (
	unused       use = iota
	archivedOnly     // only archived entries refer to it
	needed
)

func newReferences() *references {
	return &references{seed: maphash.MakeSeed(), blocks: make(map[uint64]struct{}), archive: make(map[string]bool), waiting: make(map[string]string)}
}

// keep adds a segment, manifest or list.
func (r *references) keep(key string) {
	if !r.archive[key] {
		r.archive[key] = false
	}
}

// kept reports whether a log refers to a segment, manifest or list, which was found.
func (r *references) kept(key string) bool {
	_, known := r.archive[key]
	if known {
		r.archive[key] = true
	}
	return known
}

// add counts the extent of a batch, and returns the bytes that it adds. A compressed block is
// counted once, with the first of its batches; add returns 0 for the others.
func (r *references) add(x messages.Extent) (bytes int64) {
	if x.Compressed() {
		block := maphash.Comparable(r.seed, x.Stored())
		if _, counted := r.blocks[block]; counted {
			return 0
		}
		r.blocks[block] = struct{}{}
	}
	r.put(reference{key: maphash.String(r.seed, x.Key), bytes: x.Length, use: needed})
	return x.Length
}

// addArchived notes that an archived entry refers to an object.
func (r *references) addArchived(key string) {
	r.put(reference{key: maphash.String(r.seed, key), use: archivedOnly})
}

func (r *references) put(o reference) {
	if n := len(r.objects); n > r.sorted && r.objects[n-1].key == o.key {
		r.objects[n-1].join(o)
		return
	}
	r.objects = append(r.objects, o)
	if len(r.objects) > 2*r.sorted+1<<16 {
		r.freeze()
	}
}

// join adds another reference to the same object.
func (o *reference) join(more reference) {
	o.bytes += more.bytes
	o.use = max(o.use, more.use)
}

// freeze sorts the objects and merges those with the same key.
func (r *references) freeze() {
	slices.SortFunc(r.objects, func(a, b reference) int { return cmp.Compare(a.key, b.key) })
	merged := r.objects[:0]
	for _, o := range r.objects {
		if n := len(merged); n > 0 && merged[n-1].key == o.key {
			merged[n-1].join(o)
		} else {
			merged = append(merged, o)
		}
	}
	r.objects, r.sorted = merged, len(merged)
}

// find returns the live bytes of an object with batches, and what it is needed for. The references
// MUST be frozen.
func (r *references) find(key string) (bytes int64, _ use) {
	at, referred := slices.BinarySearchFunc(r.objects, maphash.String(r.seed, key), func(o reference, key uint64) int { return cmp.Compare(o.key, key) })
	if !referred {
		return 0, unused
	}
	r.objects[at].found = true
	return r.objects[at].bytes, r.objects[at].use
}

// missing returns how many objects that are needed were not found.
func (r *references) missing() (n int64) {
	for _, o := range r.objects {
		if !o.found && o.use == needed {
			n++
		}
	}
	for _, found := range r.archive {
		if !found {
			n++
		}
	}
	return n
}
