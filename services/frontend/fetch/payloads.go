package fetch

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	// maxRange bounds what is read from an object at once, and so what a fetch
	// holds in memory; a single batch may be larger.
	maxRange = 4 << 20
	// maxGap is how many bytes that nobody asked for are read to save a request:
	// between the batches of an object lie their heads, or batches of others.
	maxGap = 64 << 10
	// maxLoad is how many batches are loaded at once.
	maxLoad = 1024
)

// budget is how much may be sent.
type budget struct {
	bytes, records int64
}

// loaded is a batch with its payload, or why there is none.
type loaded struct {
	*batch
	payload []byte
	err     error
}

// load returns the first batches of the queue with their payloads, as many as
// the budget has room for and at least one.
func (c *cursor) load(ctx context.Context, b budget) []loaded {
	head := make([]loaded, 0, 16)
	for i := range c.queue {
		next := &c.queue[i]
		if i > 0 && (i >= maxLoad || next.extent.Length > b.bytes || b.records <= 0) {
			break
		}
		head = append(head, loaded{batch: next})
		if next.gap == 0 {
			b.bytes -= next.extent.Length
			b.records -= next.next() - max(next.offset, c.offset)
		}
	}
	missing := make([]*loaded, 0, len(head))
	for i := range head {
		if head[i].gap > 0 {
			continue
		}
		var ok bool
		if head[i].payload, ok = c.server.payloads.get(head[i].extent); !ok {
			missing = append(missing, &head[i])
		}
	}
	slices.SortFunc(missing, func(a, b *loaded) int {
		return cmp.Or(cmp.Compare(a.extent.Key, b.extent.Key), cmp.Compare(a.extent.Offset, b.extent.Offset))
	})
	for len(missing) > 0 {
		n := adjacent(missing)
		readTogether(ctx, c.server.config.Store, missing[:n])
		missing = missing[n:]
	}
	return head
}

// adjacent returns how many of the batches, which are sorted by key and offset,
// are read by one request.
func adjacent(batches []*loaded) int {
	first := batches[0].extent
	end := first.Offset + first.Length
	for i, b := range batches[1:] {
		x := b.extent
		if x.Key != first.Key || x.Offset-end > maxGap || x.Offset+x.Length-first.Offset > maxRange {
			return i + 1
		}
		end = max(end, x.Offset+x.Length)
	}
	return len(batches)
}

// readTogether reads batches that lie close together in one object.
func readTogether(ctx context.Context, store objectstore.Store, batches []*loaded) {
	first := batches[0].extent
	end := first.Offset
	for _, b := range batches {
		end = max(end, b.extent.Offset+b.extent.Length)
	}
	content, err := store.ReadRange(ctx, first.Key, first.Offset, end-first.Offset)
	if err != nil && len(batches) > 1 && ctx.Err() == nil {
		// Only some of them may be damaged.
		for i := range batches {
			readTogether(ctx, store, batches[i:i+1])
		}
		return
	}
	for _, b := range batches {
		if err != nil {
			b.err = storeError(ctx, b.extent, err)
			continue
		}
		from := b.extent.Offset - first.Offset
		b.payload = content[from : from+b.extent.Length : from+b.extent.Length]
		if err := objectstore.Verify(b.extent, b.payload); err != nil {
			b.err = storeError(ctx, b.extent, err)
		}
	}
}

// storeError makes an error of the catalogue from one of the store.
func storeError(ctx context.Context, x messages.Extent, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, corrupt := errors.AsType[*objectstore.CorruptError](err); corrupt {
		return protocol.NewError(protocol.CodeCorrupt, err.Error())
	}
	if errors.Is(err, objectstore.ErrNotFound) {
		return protocol.Errorf(protocol.CodeCorrupt, "object %q, which holds a batch at offset %d, length %d, is missing", x.Key, x.Offset, x.Length)
	}
	return protocol.Errorf(protocol.CodeStoreUnavailable, "a batch could not be read: %v", err)
}
