package history

import "sync"

// pageBuffer keeps the pages that were read last. A cache that prefers what is used often would
// soon keep nothing of a long scan, which uses each page once, and then read the pages behind each
// page again and again. It is safe for concurrent use.
type pageBuffer struct {
	limit int64 // bytes

	mu    sync.Mutex
	pages map[part][]byte
	order []part // from the oldest to the newest
	bytes int64
}

func newPageBuffer(limit int64) *pageBuffer {
	return &pageBuffer{limit: limit, pages: make(map[part][]byte)}
}

func (b *pageBuffer) get(p part) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	data, ok := b.pages[p]
	return data, ok
}

// put keeps a page, and drops the oldest ones if there are too many bytes.
func (b *pageBuffer) put(p part, data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.pages[p]; known {
		return
	}
	b.pages[p] = data
	b.order = append(b.order, p)
	b.bytes += weigh(p, data)
	for b.bytes > b.limit && len(b.order) > 1 {
		oldest := b.order[0]
		b.order = b.order[1:]
		b.bytes -= weigh(oldest, b.pages[oldest])
		delete(b.pages, oldest)
	}
}

func weigh(p part, data []byte) int64 { return int64(overhead + len(p.object) + cap(data)) }
