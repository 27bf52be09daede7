package fetch

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// commitBlocks appends one entry with single records, which are in compressed blocks of per
// records in one object. It returns the entry and the values.
func (f *fixture) commitBlocks(records, per int) (s stored, values []string) {
	f.Helper()
	key, err := objectstore.NewKey(time.Now(), nil)
	must(f, err)
	builder := objectstore.NewBuilder(key)
	entry := messages.Entry{TopicID: f.topic.ID, BaseOffset: f.offset, Time: time.Now().UnixNano()}
	var group []objectstore.Batch
	for i := range records {
		value := fmt.Sprintf("record %d: %s", i, strings.Repeat("text ", 20))
		values = append(values, value)
		s.payloads = append(s.payloads, protocol.EncodeRecord(lines(value)[0]))
		group = append(group, objectstore.Batch{
			Batch: messages.Batch{Ticket: messages.Ticket{Lane: "l", Number: uint64(i)}, Records: 1}, Partition: f.id, Payload: s.payloads[i],
		})
		if len(group) < per && i < records-1 {
			continue
		}
		for n, x := range builder.AddBlock(objectstore.Pack(protocol.CompressionZstd, group)) {
			entry.Batches = append(entry.Batches, messages.Placeholder{Batch: group[n].Batch, Extent: x})
		}
		group = nil
	}
	must(f, f.store.Put(f.context(), key, builder.Parts()))
	f.offset = entry.NextOffset()
	s.sequence, s.entry = f.append(messages.EncodeEntry(entry)), entry
	return s, values
}

func TestRecordsOfBlocksAreReadWithOneRequest(t *testing.T) {
	for _, request := range []fields{{"offset": 0}, {"offset": 0, "window_bytes": 4 << 20}, {"offset": 0, "frames": true}} {
		f := newFixture(t, nil)
		_, values := f.commitBlocks(1000, 300)
		f.fetch(request).wants(protocol.StatusEnd, values...)
		if n := f.store.reads.Load(); n != 1 {
			t.Errorf("%v: %d reads", request, n)
		}
	}
}

func TestBlockIsDecompressedOnceForAConsumerWithLittleCredit(t *testing.T) {
	f := newFixture(t, nil)
	_, values := f.commitBlocks(100, 100)
	f.fetch(fields{"offset": 0, "window_bytes": 300}).wants(protocol.StatusEnd, values...)
	for i := range values {
		f.fetch(fields{"offset": i, "max_records": 1}).wants(protocol.StatusEnd, values[i])
	}
	if n := f.store.reads.Load(); n != 1 {
		t.Errorf("%d reads", n)
	}
}

func TestRecentRecordsOfABlockAreInTheCache(t *testing.T) {
	f := newFixture(t, nil)
	s, values := f.commitBlocks(50, 50)
	for i, b := range s.entry.Batches {
		f.server.Remember(b.Extent, s.payloads[i])
	}
	// Another payload than the one in the block is not remembered.
	f.server.Remember(s.entry.Batches[1].Extent, s.payloads[0])
	f.server.Committed(s.news(f.id))
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, values...)
	if n := f.store.reads.Load(); n != 0 {
		t.Errorf("%d reads", n)
	}
}

func TestDamagedBlockNamesTheOffsetsOfItsRecords(t *testing.T) {
	f := newFixture(t, nil)
	s, values := f.commitBlocks(30, 10)
	damaged := s.entry.Batches[10].Extent
	content, err := os.ReadFile(f.object(damaged.Key))
	must(t, err)
	content[damaged.Offset+5] ^= 1
	must(t, os.WriteFile(f.object(damaged.Key), content, 0o600))
	got, last := f.fetch(fields{"offset": 0}).rest()
	if len(got) != 10 || last.Header.Get(protocol.HeaderError) != protocol.CodeCorrupt.Kind().Name {
		t.Fatalf("%d records, then %v", len(got), last.Header)
	}
	expectGap(t, last, 10, 10)
	// The block is read three times to make sure, and not again for its other records.
	reads := f.store.reads.Load()
	defer func() {
		if more := f.store.reads.Load() - reads; more != 0 {
			t.Errorf("%d more reads", more)
		}
	}()
	for i := 11; i < 20; i++ {
		expectGap(t, f.fetch(fields{"offset": i}).fails(protocol.CodeCorrupt), int64(i), int64(i))
	}
	f.fetch(fields{"offset": 20}).wants(protocol.StatusEnd, values[20:]...)
}

func TestBlockThatIsAlteredOnTheWayIsReadAgain(t *testing.T) {
	faulty := &faultyStore{after: func(n int, content []byte) error {
		if n == 1 {
			flip(content)
		}
		return nil
	}}
	f := newFixture(t, func(c *Config) {
		faulty.Store = c.Store
		c.Store = faulty
	})
	_, values := f.commitBlocks(100, 100)
	f.fetch(fields{"offset": 0}).wants(protocol.StatusEnd, values...)
	if reads, anew := faulty.counts(); reads != 2 || anew != 1 {
		t.Errorf("%d reads, %d with a new connection", reads, anew)
	}
}

func TestBlocksThatAreReadAheadAreReadOnce(t *testing.T) {
	f := newFixture(t, nil)
	var values []string
	for range 6 {
		_, more := f.commitBlocks(1000, 500)
		values = append(values, more...)
	}
	for _, window := range []int{30_000, 500_000} {
		before := f.store.reads.Load()
		f.server.blocks.cache.InvalidateAll()
		f.fetch(fields{"offset": 0, "window_bytes": window}).wants(protocol.StatusEnd, values...)
		if n := f.store.reads.Load() - before; n > 12 {
			t.Errorf("window %d: %d reads of 12 blocks", window, n)
		}
	}
}
