package world

import (
	"bytes"
	"fmt"

	"laneway.dev/internal/core/generation"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
	"laneway.dev/test/sim/check"
)

// Archive is the object store of a world in which objects are deleted. It has the bytes of segments and
// manifests; those of batches are known to the checks.
type Archive struct {
	// Most is how many segments a manifest lists; with one more, half of them move to a list. 0 is as
	// in production, where a list has hundreds.
	Most int

	objects map[string][]byte
	batches map[string]int64 // objects of batches that have a generation, with their size
	keys    int              // that were given out

	// What was decoded of them.
	manifests map[string]*manifest.Manifest
	lists     map[string]*manifest.List
	footers   map[string]*segment.Footer
}

// NewArchive returns an archive without objects.
func NewArchive() *Archive {
	return &Archive{
		objects: map[string][]byte{}, batches: map[string]int64{}, manifests: map[string]*manifest.Manifest{}, lists: map[string]*manifest.List{}, footers: map[string]*segment.Footer{},
	}
}

// Put stores an object.
func (w *World) Put(o Object) {
	w.Archive.objects[o.Key] = o.Content
	w.See(check.All, check.Put{Key: o.Key})
}

// PutBatches stores an object of batches that has a generation. A put that is repeated may land again
// after its object was deleted.
func (w *World) PutBatches(key string, size int64) {
	if w.Archive != nil && generation.OfKey(key) > 0 {
		w.Archive.batches[key] = size
		w.See(check.All, check.Put{Key: key})
	}
}

// Get returns the bytes of an object; nil is none.
func (a *Archive) Get(key string) []byte { return a.objects[key] }

// Missing reports whether the object of an extent is not there, or not any more.
func (a *Archive) Missing(x messages.Extent) bool {
	if a == nil || generation.OfKey(x.Key) == 0 {
		return false
	}
	_, batches := a.batches[x.Key]
	return !batches && a.objects[x.Key] == nil
}

// delete deletes an object, and returns its size. It returns false if the object is not there.
func (a *Archive) delete(key string) (size int64, there bool) {
	if size, there = a.batches[key]; there {
		delete(a.batches, key)
		return size, true
	}
	object, there := a.objects[key]
	delete(a.objects, key)
	return int64(len(object)), there
}

// all is a sequence of the keys of all objects with a generation, in any order.
func (a *Archive) all(yield func(key string) bool) {
	for key := range a.batches {
		if !yield(key) {
			return
		}
	}
	for key := range a.objects {
		if !yield(key) {
			return
		}
	}
}

// Delete deletes an object, and returns its size.
func (w *World) Delete(key string) int64 {
	size, there := w.Archive.delete(key)
	if there {
		w.Say("  %s is deleted", key)
		w.See(check.All, check.Deleted{Key: key})
	}
	return size
}

// newKey returns a key for one attempt to store an object of a kind and a generation.
func (a *Archive) newKey(kind string, of uint64) string {
	a.keys++
	return fmt.Sprintf("%s/%016x/%d", kind, max(of, 1), a.keys)
}

// Object is what an archiver stores.
type Object struct {
	Key     string
	Content []byte
}

// Holds reports whether the archive has an object as it was stored.
func (a *Archive) Holds(o Object) bool { return bytes.Equal(a.Get(o.Key), o.Content) }
