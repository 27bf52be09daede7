package fetch

import (
	"context"
	"slices"
	"strings"

	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	core "laneway.dev/services/frontend/core/fetch"
)

// leastChunk is the least size of a chunk. A fetch that will not read four of them names the extents
// to read ahead instead.
const leastChunk = 256 << 10

// chunks are parts of segments, one after the other, that a fetch has read ahead of its loads, or is
// reading. They belong to the goroutine of the fetch, and to that of begin while it runs.
//
// In a segment, the batches of a partition follow each other. So a fetch reads ahead in large
// pieces, across the ends of segments, before it knows the batches in them. What a chunk lacks,
// because it could not be read or has other content, is read again by the load itself.
type chunks struct {
	server  *Server
	history messages.History // names the segments
	open    []*chunk
}

// chunk is a part of a segment. The goroutine that reads it owns content until done is closed.
type chunk struct {
	segment.Summary
	from, to int64
	cancel   context.CancelFunc
	done     chan struct{}
	content  []byte // nil if it could not be read
}

func inSegment(x messages.Extent) bool {
	return strings.HasPrefix(x.Key, string(objectstore.KindSegment))
}

// advance drops the chunks before what is wanted, and starts to read up to so many bytes behind it. It
// returns false if the fetch does not read in chunks.
func (c *chunks) advance(ctx context.Context, p *partition, wanted []messages.Extent, beyond int64) bool {
	first := slices.IndexFunc(wanted, inSegment)
	if first < 0 {
		c.drop()
		return false
	}
	begin, last := wanted[first], wanted[len(wanted)-1]
	covering := slices.IndexFunc(c.open, func(k *chunk) bool { return k.Key == begin.Key && k.from <= begin.Offset && begin.Offset < k.to })
	if covering < 0 {
		covering = len(c.open)
	}
	for _, k := range c.open[:covering] {
		c.server.forgetChunk(k)
	}
	c.open = slices.Delete(c.open, 0, covering)
	if beyond < 4*leastChunk || !inSegment(last) {
		return len(c.open) > 0
	}
	if at, ok := c.place(last); ok {
		c.extend(ctx, p.id, at, c.behind(last), beyond)
	}
	return len(c.open) > 0
}

// begin starts to read a segment that begins at the offset at which a fetch starts, while its index
// is read. It waits for the manifest. It is called while a question is answered in the background.
func (c *chunks) begin(ctx context.Context, id protocol.Partition, q core.Narrow) {
	if q.Beyond < 4*leastChunk {
		return
	}
	first, err := c.server.history.SegmentAt(ctx, q.History, id, q.Offset)
	if err != nil || q.Offset > first.Base {
		return // an error is returned again to the fetch
	}
	c.drop()
	c.history = q.History
	c.extend(ctx, id, chunk{Summary: first}, 0, q.Beyond)
}

// extend starts to read chunks from a place on, until so many bytes beyond what is wanted are read or
// being read. ahead is how many of them are open already.
func (c *chunks) extend(ctx context.Context, id protocol.Partition, at chunk, ahead, beyond int64) {
	size := min(beyond/4, core.MaxRange)
	for ahead == 0 || ahead+size <= beyond {
		end := c.dataEnd(&at.Summary)
		if at.to >= end {
			next, ok := c.server.history.Next(c.history, &at.Summary)
			if !ok {
				return
			}
			at.Summary, at.to, end = next, 0, c.dataEnd(&next)
			c.server.prefetch(c.history, id, at.First)
		}
		k := c.server.readChunk(ctx, at.Summary, at.to, min(at.to+size, end))
		if k == nil {
			return // all slots are taken
		}
		c.open = append(c.open, k)
		at.to = k.to
		ahead += k.to - k.from
	}
}

// place returns where the next chunk begins, which is where the last one ends.
func (c *chunks) place(last messages.Extent) (at chunk, ok bool) {
	if n := len(c.open); n > 0 {
		return chunk{Summary: c.open[n-1].Summary, to: c.open[n-1].to}, true
	}
	at.to = last.Offset + last.Length
	at.Summary, _, ok = c.server.history.Segment(last.Key)
	return at, ok
}

// dataEnd returns where the data of a segment ends. If that is not known, it is the end of the
// segment, so that some pages are read as well.
func (c *chunks) dataEnd(s *segment.Summary) int64 {
	if _, end, ok := c.server.history.Segment(s.Key); ok {
		return end
	}
	return s.Size
}

// behind returns how many bytes of the open chunks lie behind an extent.
func (c *chunks) behind(x messages.Extent) (bytes int64) {
	for _, k := range c.open {
		from := k.from
		if k.Key == x.Key {
			from = max(from, x.Offset+x.Length)
		}
		bytes += max(0, k.to-from)
	}
	return bytes
}

// drop drops all chunks.
func (c *chunks) drop() {
	for _, k := range c.open {
		c.server.forgetChunk(k)
	}
	c.open = nil
}

// readChunk starts to read a chunk. It returns nil if the maximum number of ranges is open. An error
// is left to the load that needs the chunk, which reads again and reports it.
func (s *Server) readChunk(ctx context.Context, of segment.Summary, from, to int64) *chunk {
	select {
	case s.ahead <- struct{}{}:
	default:
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.StoreTimeout)
	k := &chunk{Summary: of, from: from, to: to, cancel: cancel, done: make(chan struct{})}
	s.wait.Go(func() {
		defer close(k.done)
		if content, err := s.config.Store.ReadRange(ctx, of.Key, from, to-from); err == nil {
			k.content = content
		}
	})
	return k
}

// forgetChunk cancels the read of a chunk, and releases its slot once it has ended.
func (s *Server) forgetChunk(k *chunk) {
	k.cancel()
	s.wait.Go(func() {
		<-k.done
		s.ahead.release()
	})
}

// takeChunks waits for chunks, and fills in those missing payloads that they contain. Payloads that a
// chunk could not read as they were stored, or did not read within aheadPatience, stay missing.
func (l *load) takeChunks(open []*chunk, r *storeReader) {
	if len(open) == 0 {
		return
	}
	patience, cancel := context.WithTimeout(context.Background(), aheadPatience)
	defer cancel()
	l.missing = slices.DeleteFunc(l.missing, func(m missing) bool {
		content := contentOf(patience, open, m.Extent)
		if content == nil || objectstore.Verify(m.Extent, content) != nil {
			return false
		}
		r.open(&m, content)
		return true
	})
}

// contentOf returns what chunks contain of an extent; nil if that is not all of it.
func contentOf(patience context.Context, open []*chunk, x messages.Extent) (content []byte) {
	at, end := x.Offset, x.Offset+x.Length
	for _, k := range open {
		if k.Key != x.Key || at < k.from || at >= k.to {
			continue
		}
		if !k.read(patience) || k.content == nil {
			return nil
		}
		part := k.content[at-k.from : min(end, k.to)-k.from]
		if int64(len(part)) == x.Length {
			return slices.Clip(part)
		}
		content = append(content, part...)
		if at += int64(len(part)); at == end {
			return content
		}
	}
	return nil
}

// read waits until the chunk is read. It returns false if ctx ends first.
func (k *chunk) read(ctx context.Context) bool {
	select {
	case <-k.done:
		return true
	default:
	}
	select {
	case <-k.done:
		return true
	case <-ctx.Done():
		k.cancel() // other loads do not wait for it, too
		return false
	}
}
