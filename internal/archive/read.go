package archive

import (
	"context"
	"errors"
	"fmt"

	"laneway.dev/internal/core/layout"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// The kinds of damage beside those of objects with batches.
const (
	DamagedManifest objectstore.Damage = "manifest" // or a list of segments
	DamagedFooter   objectstore.Damage = "footer"   // of a segment, or the end is missing
	DamagedPage     objectstore.Damage = "page"     // of a segment
)

// Manifest reads a manifest. Damage is a *objectstore.CorruptError or ErrNotFound.
func Manifest(ctx context.Context, store objectstore.Store, key string) (*manifest.Manifest, error) {
	return whole(ctx, store, key, func(data []byte) (*manifest.Manifest, error) { return manifest.Decode(key, data) })
}

// List reads a list of segments. Damage is a *objectstore.CorruptError or ErrNotFound.
func List(ctx context.Context, store objectstore.Store, key string) (*manifest.List, error) {
	return whole(ctx, store, key, func(data []byte) (*manifest.List, error) { return manifest.DecodeList(key, data) })
}

// whole reads an object that begins with the head of a manifest.
func whole[T any](ctx context.Context, store objectstore.Store, key string, decode func([]byte) (T, error)) (T, error) {
	head := part{key, DamagedManifest, 0, manifest.HeadSize}
	length, err := read(ctx, store, head, manifest.ParseHead)
	if err != nil {
		var none T
		return none, err
	}
	return read(ctx, store, part{key, DamagedManifest, 0, length}, decode)
}

// Footer reads the footer of a segment. Damage is a *objectstore.CorruptError or ErrNotFound.
func Footer(ctx context.Context, store objectstore.Store, o objectstore.Listed) (*segment.Footer, error) {
	length := min(o.Size, segment.TailBytes)
	for {
		need := int64(0)
		footer, err := read(ctx, store, part{o.Key, DamagedFooter, o.Size - length, length}, func(tail []byte) (f *segment.Footer, err error) {
			f, need, err = segment.ParseTail(o.Key, tail, o.Size)
			return f, err
		})
		if footer != nil || err != nil {
			return footer, err
		}
		length = need
	}
}

// Page reads the entries of a page of a segment. Damage is a *objectstore.CorruptError or
// ErrNotFound.
func Page(ctx context.Context, store objectstore.Store, f *segment.Footer, page int) ([]messages.LoggedEntry, error) {
	p := &f.Pages[page]
	return read(ctx, store, part{f.Key, DamagedPage, p.Position, p.Length}, func(data []byte) ([]messages.LoggedEntry, error) {
		return f.ParsePage(page, data)
	})
}

// part is a part of an object with a checksum of its own.
type part struct {
	key            string
	kind           objectstore.Damage
	offset, length int64
}

// maxReads bounds the reads of a part if its content is wrong in another way each time.
const maxReads = 100

// read reads a part of an object and decodes it. Content that is malformed is read again until it
// is the same in objectstore.Reads reads.
func read[T any](ctx context.Context, store objectstore.Store, p part, decode func([]byte) (T, error)) (T, error) {
	var none T
	var altered objectstore.Altered
	for reads := 1; ; reads++ {
		data := make([]byte, p.length)
		object := objectstore.Listed{Key: p.key, Size: p.offset + p.length}
		if _, err := objectstore.NewReader(ctx, store, object, 0).ReadAt(data, p.offset); err != nil {
			return none, err
		}
		decoded, err := decode(data)
		switch {
		case err == nil:
			return decoded, nil
		case errors.Is(err, layout.ErrVersion):
			return none, fmt.Errorf("object %q: %w", p.key, err)
		case !errors.Is(err, protocol.ErrMalformed):
			return none, err
		case altered.Add(data), reads == maxReads:
			return none, &objectstore.CorruptError{Damage: p.kind, Key: p.key, Offset: p.offset, Length: p.length, Reason: err.Error()}
		}
		ctx = objectstore.WithNewConnection(ctx)
	}
}
