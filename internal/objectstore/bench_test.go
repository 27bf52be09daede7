package objectstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// BenchmarkPut stores objects of 1 MiB, made of ever more parts, one at a time
// and many at once. It measures the disk under the temporary folder.
func BenchmarkPut(b *testing.B) {
	const size = 1 << 20
	for _, count := range []int{1, 100, 1000} {
		parts := make([][]byte, count)
		for i := range parts {
			parts[i] = pattern(size / count)
		}
		for _, writers := range []int{1, 16} {
			b.Run(fmt.Sprintf("parts=%d/writers=%d", count, writers), func(b *testing.B) {
				benchmarkPut(b, parts, writers)
			})
		}
	}
}

func benchmarkPut(b *testing.B, parts [][]byte, writers int) {
	store, err := Open(filepath.Join(b.TempDir(), "store"), 0)
	if err != nil {
		b.Fatal(err)
	}
	var size int
	for _, part := range parts {
		size += len(part)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	var started atomic.Int64
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for started.Add(1) <= int64(b.N) {
				key, err := NewKey(time.Now(), nil)
				if err == nil {
					err = store.Put(b.Context(), key, parts)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

func BenchmarkReadRange(b *testing.B) {
	store, _ := openTemp(b)
	if err := store.Put(b.Context(), "objects/0/a", [][]byte{pattern(4 << 20)}); err != nil {
		b.Fatal(err)
	}
	for _, length := range []int64{1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("length=%d", length), func(b *testing.B) {
			b.SetBytes(length)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := store.ReadRange(b.Context(), "objects/0/a", 1<<20, length); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	batch := Batch{
		Partition: protocol.Partition{Topic: "orders", TopicID: 1, Number: 0},
		Batch:     messages.Batch{Ticket: messages.Ticket{Lane: "lane-1"}, Records: 10}, Epoch: 1, Payload: pattern(4 << 10),
	}
	b.SetBytes(int64(1000 * len(batch.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		builder := NewBuilder("k")
		for range 1000 {
			if _, err := builder.Add(batch); err != nil {
				b.Fatal(err)
			}
		}
		_ = builder.Parts()
	}
}

// BenchmarkFreeSpace is what the reserve costs each Put.
func BenchmarkFreeSpace(b *testing.B) {
	folder := b.TempDir()
	for b.Loop() {
		if _, err := freeSpace(folder); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPack compresses single records, the lines of Go source, in blocks of several sizes.
func BenchmarkPack(b *testing.B) {
	source, err := goSource()
	if err != nil {
		b.Fatal(err)
	}
	for _, codec := range protocol.Compressions() {
		for _, size := range []int{64 << 10, 256 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%dKiB", codec, size>>10), func(b *testing.B) {
				var groups [][]Batch
				bytes, records := 0, 0
				for line := range strings.Lines(source) {
					payload := protocol.EncodeRecord(protocol.Record{Value: []byte(strings.TrimSuffix(line, "\n"))})
					if len(groups) == 0 || bytes+len(payload) > size {
						groups, bytes = append(groups, nil), 0
					}
					last := &groups[len(groups)-1]
					*last = append(*last, Batch{
						Partition: protocol.Partition{Topic: "orders", TopicID: 7}, Epoch: 12, Payload: payload,
						Batch: messages.Batch{Ticket: messages.Ticket{Lane: "r:_INBOX.Q7ZsN0Yd3kT", Number: uint64(records)}, Records: 1},
					})
					bytes += len(payload)
					records++
				}
				b.SetBytes(int64(len(source)))
				var stored int
				for b.Loop() {
					stored = 0
					for _, group := range groups {
						block := Pack(codec, group)
						stored += len(block.head) + len(block.frames)
					}
				}
				b.ReportMetric(float64(stored)/float64(records), "B/record")
			})
		}
	}
}

// goSource returns source of this repository.
func goSource() (string, error) {
	files, err := filepath.Glob(filepath.Join("..", "..", "*", "*", "*.go"))
	var all strings.Builder
	for _, name := range files {
		content, readErr := os.ReadFile(name)
		if err = errors.Join(err, readErr); err == nil {
			all.Write(content)
		}
	}
	return all.String(), err
}
