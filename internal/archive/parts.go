package archive

import (
	"context"

	"laneway.dev/internal/core/layout"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
)

// Parts reads a part of an object, and decodes it with decode. How often it repeats requests that
// fail, and when it reads content again for which decode returns an error that wraps
// protocol.ErrMalformed, is its own affair. Its methods read what consists of one or several parts.
type Parts func(ctx context.Context, p Part, decode func([]byte) error) error

// Part is a part of an object with a checksum of its own.
type Part struct {
	Key            string
	Damage         objectstore.Damage // what it is called if the part cannot be read
	Offset, Length int64
}

// tailBytes returns how many bytes of the end of a segment are read to get its footer. The rest has
// the last pages, and all of them if batches have some 3 KiB or more: an entry has 20 to 50 bytes for
// each.
func tailBytes(size int64) int64 { return min(size, max(128<<10, size/64)) }

// maxIndex bounds the size of a manifest or list in bytes. One of 512 segments has less than
// 100 KiB.
const maxIndex = 64 << 20

// Manifest reads the manifest with a key. size is its size in bytes, or 0 if that is not known.
// That costs one request more.
func (read Parts) Manifest(ctx context.Context, key string, size int64) (m *manifest.Manifest, err error) {
	err = read.index(ctx, key, size, func(data []byte) (err error) {
		m, err = manifest.Decode(key, data)
		return err
	})
	return m, err
}

// List reads the list of segments with a key.
func (read Parts) List(ctx context.Context, key string) (l *manifest.List, err error) {
	err = read.index(ctx, key, 0, func(data []byte) (err error) {
		l, err = manifest.DecodeList(key, data)
		return err
	})
	return l, err
}

// index reads a manifest or list, whose head says how long it is.
func (read Parts) index(ctx context.Context, key string, size int64, decode func([]byte) error) error {
	if size <= 0 {
		err := read(ctx, Part{key, DamagedManifest, 0, manifest.HeadSize}, func(head []byte) (err error) {
			if size, err = manifest.ParseHead(head); err == nil && size > maxIndex {
				err = layout.Malformed("its length is %d", size)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return read(ctx, Part{key, DamagedManifest, 0, size}, decode)
}

// Footer reads the footer of the segment with a key and a size. tail is what was read of the end of
// the segment.
func (read Parts) Footer(ctx context.Context, key string, size int64) (f *segment.Footer, tail []byte, err error) {
	for length := tailBytes(size); f == nil; {
		err := read(ctx, Part{key, DamagedFooter, size - length, length}, func(data []byte) error {
			footer, need, err := segment.ParseTail(key, data, size)
			if err == nil && footer == nil {
				length = need
			}
			f, tail = footer, data
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return f, tail, nil
}

// Page reads the entries of a page of a segment.
func (read Parts) Page(ctx context.Context, f *segment.Footer, page int) (entries []messages.LoggedEntry, err error) {
	p := &f.Pages[page]
	err = read(ctx, Part{f.Key, DamagedPage, p.Position, p.Length}, func(data []byte) (err error) {
		entries, err = f.ParsePage(page, data)
		return err
	})
	return entries, err
}
