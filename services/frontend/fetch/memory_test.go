package fetch

import (
	"fmt"
	"runtime"
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// heapOf returns by how much the heap grows while do runs.
func heapOf(do func()) int64 {
	var before, after runtime.MemStats
	for range 2 {
		runtime.GC()
	}
	runtime.ReadMemStats(&before)
	do()
	for range 2 {
		runtime.GC()
	}
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// TestCachesHoldNoMoreMemoryThanTheirBound fills the caches with many times what they
// hold, in the sizes that hold the most besides payloads.
func TestCachesHoldNoMoreMemoryThanTheirBound(t *testing.T) {
	const bound = 2 << 20
	partition := protocol.Partition{Topic: "orders", TopicID: 1}
	var entries *entryCache
	var payloads *payloadCache
	var blocks *blockCache
	for _, c := range []struct {
		name string
		fill func()
	}{
		{"entries of one batch", func() {
			entries = newEntryCache(bound)
			for n := range 20_000 {
				entries.put(partition, loggedForMemory(t, n, 1))
			}
		}},
		{"entries of many batches", func() {
			entries = newEntryCache(bound)
			for n := range 500 {
				entries.put(partition, loggedForMemory(t, n, 100))
			}
		}},
		{"empty payloads", func() {
			payloads = newPayloadCache(bound)
			for n := range 20_000 {
				payloads.put(messages.Extent{Key: fmt.Sprintf("object-%026d", n)}, nil)
			}
		}},
		{"payloads of 512 bytes", func() {
			payloads = newPayloadCache(bound)
			for n := range 15_000 {
				payloads.put(messages.Extent{Key: fmt.Sprintf("object-%026d", n), Length: 512}, make([]byte, 512))
			}
		}},
		{"payloads within larger messages", func() {
			payloads = newPayloadCache(bound)
			for n := range 5_000 {
				payloads.put(messages.Extent{Key: fmt.Sprintf("object-%026d", n), Length: 100}, make([]byte, 4096)[3000:3100])
			}
		}},
		{"blocks of 4 KiB", func() {
			blocks = newBlockCache(bound)
			for n := range 2_500 {
				x := messages.Extent{Key: fmt.Sprintf("object-%026d", n), Length: 512, Block: messages.InBlock{Codec: protocol.CompressionS2, Bytes: 4096}}
				blocks.put(x, make([]byte, 4096))
			}
		}},
	} {
		held := heapOf(c.fill)
		t.Logf("%s: %.2f of the bound", c.name, float64(held)/bound)
		if held > bound*5/4 {
			t.Errorf("%s hold %d bytes, the bound is %d", c.name, held, bound)
		}
		runtime.KeepAlive(entries)
		runtime.KeepAlive(payloads)
		runtime.KeepAlive(blocks)
		entries, payloads, blocks = nil, nil, nil
	}
}

// loggedForMemory returns an entry as it comes from the wire.
func loggedForMemory(t *testing.T, n, batches int) messages.LoggedEntry {
	t.Helper()
	entry := messages.Entry{TopicID: 1, Epoch: 1, BaseOffset: int64(n), Time: 1}
	for i := range batches {
		entry.Batches = append(entry.Batches, messages.Placeholder{
			Batch:  messages.Batch{Ticket: messages.Ticket{Lane: fmt.Sprintf("_INBOX.%022d", i%8), Number: uint64(n)}, Records: 1},
			Extent: messages.Extent{Key: fmt.Sprintf("object-%026d", n), Length: 512},
		})
	}
	decoded, err := messages.DecodeEntry(messages.EncodeEntry(entry))
	if err != nil {
		t.Fatal(err)
	}
	return messages.LoggedEntry{Sequence: uint64(n + 1), Entry: decoded}
}
