package world

import (
	"bytes"
	"fmt"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
)

// Archive is the part of the object store that has segments and manifests, with their bytes.
type Archive struct {
	// Most is how many segments a manifest lists; with one more, half of them move to a list. 0 is as
	// in production, where a list has hundreds.
	Most int

	objects map[string][]byte
	keys    int // that were given out

	// What was decoded of them.
	manifests map[string]*manifest.Manifest
	lists     map[string]*manifest.List
	footers   map[string]*segment.Footer
}

// NewArchive returns an archive without objects.
func NewArchive() *Archive {
	return &Archive{
		objects: map[string][]byte{}, manifests: map[string]*manifest.Manifest{}, lists: map[string]*manifest.List{}, footers: map[string]*segment.Footer{},
	}
}

// Put stores an object.
func (a *Archive) Put(o Object) { a.objects[o.Key] = o.Content }

// Get returns the bytes of an object; nil is none.
func (a *Archive) Get(key string) []byte { return a.objects[key] }

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
