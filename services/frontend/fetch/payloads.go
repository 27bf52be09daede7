package fetch

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	core "laneway.dev/services/frontend/core/fetch"
)

// maxSkip is how many unneeded bytes between two extents are read to save a request. They are
// the headers of batches, or batches of other partitions.
const maxSkip = 64 << 10

// load is the payloads of some extents. Payloads from the cache are set at once, and missing
// lists the others.
type load struct {
	payloads []core.Payload
	missing  []missing
}

// missing is an extent whose payload is read from the store.
type missing struct {
	messages.Extent
	payload *core.Payload
}

func (s *Server) load(extents []messages.Extent) load {
	l := load{payloads: make([]core.Payload, len(extents))}
	for i := range extents {
		var ok bool
		if l.payloads[i].Bytes, ok = s.payloads.get(extents[i]); !ok {
			if l.missing == nil {
				l.missing = make([]missing, 0, len(extents)-i)
			}
			l.missing = append(l.missing, missing{extents[i], &l.payloads[i]})
		}
	}
	return l
}

// compressed reports whether a payload that was in the cache is compressed.
func (l load) compressed() bool {
	return slices.ContainsFunc(l.payloads, func(p core.Payload) bool {
		head, err := protocol.ReadFrameHead(p.Bytes)
		return err == nil && head.Compression != protocol.CompressionNone
	})
}

// read reads the missing payloads from the store, with one request for extents that are
// close together in one object.
func (l load) read(ctx context.Context, store objectstore.Store) {
	slices.SortFunc(l.missing, func(a, b missing) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Offset, b.Offset))
	})
	for left := l.missing; len(left) > 0; {
		n := adjacent(left)
		readTogether(ctx, store, left[:n])
		left = left[n:]
	}
}

// adjacent returns how many of the extents, which are sorted by key and offset,
// are read by one request.
func adjacent(extents []missing) int {
	first := extents[0]
	end := first.Offset + first.Length
	for i, x := range extents[1:] {
		if x.Key != first.Key || x.Offset-end > maxSkip || x.Offset+x.Length-first.Offset > core.MaxRange {
			return i + 1
		}
		end = max(end, x.Offset+x.Length)
	}
	return len(extents)
}

// readTogether reads extents that lie close together in one object.
func readTogether(ctx context.Context, store objectstore.Store, extents []missing) {
	first := extents[0]
	end := first.Offset
	for _, x := range extents {
		end = max(end, x.Offset+x.Length)
	}
	content, err := store.ReadRange(ctx, first.Key, first.Offset, end-first.Offset)
	if err != nil && len(extents) > 1 && ctx.Err() == nil {
		// Perhaps only some of them are damaged or beyond a torn end.
		for i := range extents {
			readTogether(ctx, store, extents[i:i+1])
		}
		return
	}
	for _, x := range extents {
		if err != nil {
			x.payload.Err = storeError(ctx, x.Extent, err)
			continue
		}
		from := x.Offset - first.Offset
		x.payload.Bytes = content[from : from+x.Length : from+x.Length]
		if err := objectstore.Verify(x.Extent, x.payload.Bytes); err != nil {
			x.payload.Err = storeError(ctx, x.Extent, err)
		}
	}
}

// storeError converts an error of the store into one of the catalogue.
func storeError(ctx context.Context, x messages.Extent, err error) *protocol.Error {
	if ctx.Err() != nil {
		return protocol.AsError(context.Cause(ctx))
	}
	if _, corrupt := errors.AsType[*objectstore.CorruptError](err); corrupt {
		return protocol.NewError(protocol.CodeCorrupt, err.Error())
	}
	if errors.Is(err, objectstore.ErrNotFound) {
		return protocol.Errorf(protocol.CodeCorrupt, "object %q, which holds a batch at offset %d, length %d, is missing", x.Key, x.Offset, x.Length)
	}
	return protocol.Errorf(protocol.CodeStoreUnavailable, "a batch could not be read: %v", err)
}
