package stager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/stager/core"
)

// textObject returns an object of single records of a topic with a codec. Each tenth batch was
// compressed by its producer.
func textObject(codec protocol.Compression, batches int) *core.Object {
	o := object(slices.Repeat([]time.Duration{time.Hour}, batches)...)
	for i := range o.Batches {
		b := &o.Batches[i]
		b.Payload = protocol.EncodeRecord(protocol.Record{Value: fmt.Appendf(nil, "record %d of a text with many equal words", i)})
		if b.Codec = codec; i%10 == 9 {
			b.Codec = ""
			if compressed, ok := protocol.CompressFrame(nil, b.Payload, protocol.CompressionZstd); ok {
				b.Payload = compressed
			}
		}
	}
	return o
}

// inMemory is a store that has objects in memory, of which ranges are read.
type inMemory struct {
	objectstore.Store
	objects map[string][]byte
}

func (s inMemory) ReadRange(_ context.Context, key string, offset, length int64) ([]byte, error) {
	return s.objects[key][offset : offset+length], nil
}

func wantFrames(t *testing.T, store inMemory, o *core.Object, extents []messages.Extent) {
	t.Helper()
	frames := objectstore.NewFrames(store)
	for i, x := range extents {
		frame, err := frames.Read(t.Context(), x)
		if err != nil || !bytes.Equal(frame, o.Batches[i].Payload) {
			t.Fatalf("batch %d: error %v, or another frame", i, err)
		}
		if want := o.Batches[i].Codec; x.Block.Codec != want {
			t.Errorf("batch %d is compressed with %q, want %q", i, x.Block.Codec, want)
		}
	}
}

func TestExtentsAreThoseOfThePutThatSucceeded(t *testing.T) {
	for _, codec := range protocol.Compressions() {
		synctest.Test(t, func(t *testing.T) {
			store := inMemory{objects: map[string][]byte{}}
			tries := 0
			u := newUploader(func(_ context.Context, key string, parts [][]byte) error {
				if tries++; tries < 3 {
					return errors.New("connection reset")
				}
				store.objects[key] = bytes.Join(parts, nil)
				return nil
			}, nil)
			o := textObject(codec, 200)
			result := u.upload(t.Context(), o, fate{})
			if result.Failed != nil || len(store.objects) != 1 {
				t.Fatalf("%v, %d objects", result.Failed, len(store.objects))
			}
			wantFrames(t, store, o, result.Extents)
			if size := int64(len(store.objects[result.Extents[0].Key])); size != result.Size || size > o.Bytes {
				t.Errorf("an object of %d bytes, %d are reported, for payloads of %d", size, result.Size, o.Bytes)
			}
		})
	}
}

func TestExtentsAreThoseOfTheHedgedPutThatWon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := inMemory{objects: map[string][]byte{}}
		var tries atomic.Int64
		u := newUploader(func(ctx context.Context, key string, parts [][]byte) error {
			if tries.Add(1) == 1 { // the late one
				<-ctx.Done()
				return ctx.Err()
			}
			store.objects[key] = bytes.Join(parts, nil)
			return nil
		}, nil)
		u.hedge = new(core.Hedge)
		for range leastPutsOfHedge {
			u.hedge.Stored(time.Millisecond)
		}
		o := textObject(protocol.CompressionZstd, 100)
		result := u.upload(t.Context(), o, fate{})
		if result.Failed != nil || len(store.objects) != 1 || u.hedges.Load() != 1 {
			t.Fatalf("%v, %d objects, %d hedges", result.Failed, len(store.objects), u.hedges.Load())
		}
		wantFrames(t, store, o, result.Extents)
	})
}

// leastPutsOfHedge is how many puts show a Hedge what is usual, and allow it a late put.
const leastPutsOfHedge = 20

func TestBatchesThatCompressionDoesNotShortenAreStoredPlain(t *testing.T) {
	store := inMemory{objects: map[string][]byte{}}
	u := newUploader(func(_ context.Context, key string, parts [][]byte) error {
		store.objects[key] = bytes.Join(parts, nil)
		return nil
	}, nil)
	o := object(time.Hour)
	random := make([]byte, 100_000)
	for i, x := 0, uint64(1); i < len(random); i++ {
		x = x*6364136223846793005 + 1442695040888963407
		random[i] = byte(x >> 56)
	}
	o.Batches[0].Codec, o.Batches[0].Payload = protocol.CompressionZstd, protocol.EncodeRecord(protocol.Record{Value: random})
	result := u.upload(t.Context(), o, fate{})
	if result.Failed != nil || result.Extents[0].Compressed() {
		t.Fatalf("%v, %+v", result.Failed, result.Extents)
	}
	o.Batches[0].Codec = ""
	wantFrames(t, store, o, result.Extents)
}
