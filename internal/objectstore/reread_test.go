package objectstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// scriptedStore returns the next of its results for each read.
type scriptedStore struct {
	Store
	results []any // the content, or an error; the last one is repeated
	reads   int
	anew    int // reads that want a new connection
}

func (s *scriptedStore) ReadRange(ctx context.Context, _ string, _, _ int64) ([]byte, error) {
	if WantsNewConnection(ctx) {
		s.anew++
	}
	result := s.results[min(s.reads, len(s.results)-1)]
	s.reads++
	if err, ok := result.(error); ok {
		return nil, fmt.Errorf("injected: %w", err)
	}
	return []byte(result.(string)), nil
}

func TestReadOutlastsPassingFaults(t *testing.T) {
	extent := messages.Extent{Key: "k", Length: 4, CRC: Checksum([]byte("good"))}
	for name, c := range map[string]struct {
		results     []any
		reads, anew int
		err         error
	}{
		"whole":             {[]any{"good"}, 1, 0, nil},
		"throttled":         {[]any{ErrThrottled, ErrUnreachable, ErrShort, "good"}, 4, 0, nil},
		"altered once":      {[]any{"evil", "good"}, 2, 1, nil},
		"altered each time": {[]any{"evil"}, Reads, Reads - 1, &CorruptError{}},
		"altered in turns":  {[]any{"evil", "Good", "evil", "evil", "Good", "good"}, 6, 5, nil},
		"missing":           {[]any{ErrNotFound}, 1, 0, ErrNotFound},
		"denied":            {[]any{ErrDenied}, 1, 0, ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &scriptedStore{results: c.results}
				_, err := NewFrames(store).Read(t.Context(), extent)
				if _, corrupt := errors.AsType[*CorruptError](c.err); corrupt {
					if _, is := errors.AsType[*CorruptError](err); !is {
						t.Errorf("the error is %v", err)
					}
				} else if !errors.Is(err, c.err) {
					t.Errorf("the error is %v, want %v", err, c.err)
				}
				if store.reads != c.reads || store.anew != c.anew {
					t.Errorf("%d reads, %d with a new connection, want %d and %d", store.reads, store.anew, c.reads, c.anew)
				}
			})
		})
	}
}

func TestReadEndsAfterAMinuteOfFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &scriptedStore{results: []any{ErrUnreachable}}
		if _, err := NewFrames(store).Read(t.Context(), messages.Extent{Key: "k", Length: 4}); !errors.Is(err, ErrUnreachable) {
			t.Errorf("the error is %v", err)
		}
		if store.reads < 5 {
			t.Errorf("%d reads", store.reads)
		}
	})
}

func TestReaderOutlastsPassingFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &scriptedStore{results: []any{ErrThrottled, "good"}}
		p := make([]byte, 4)
		if n, err := NewReader(t.Context(), store, Listed{Key: "k", Size: 4}, 0).ReadAt(p, 0); n != 4 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// flippingStore alters a byte of an object in one of the reads that include it, or in all.
type flippingStore struct {
	Store
	object []byte
	at     int64
	read   int // which read alters the byte, from 1 on; 0: each read
	reads  int // that included the byte
	anew   int // of all reads
}

func (s *flippingStore) ReadRange(ctx context.Context, _ string, offset, length int64) ([]byte, error) {
	if WantsNewConnection(ctx) {
		s.anew++
	}
	content := bytes.Clone(s.object[offset : offset+length])
	if at := s.at - offset; at >= 0 && at < length {
		if s.reads++; s.read == 0 || s.read == s.reads {
			content[at] ^= 1
		}
	}
	return content, nil
}

func TestBitsThatFlipInTransitAreNoDamage(t *testing.T) {
	batches := []Batch{{Batch: inLane("a"), Payload: make([]byte, 100)}, {Batch: inLane("b"), Payload: make([]byte, 200)}}
	builder := NewBuilder("k")
	for _, batch := range batches {
		if _, err := builder.Add(batch); err != nil {
			t.Fatal(err)
		}
	}
	builder.AddBlock(Pack(protocol.CompressionS2, batches))
	object := bytes.Join(builder.Parts(), nil)
	listed := Listed{Key: "k", Size: int64(len(object))}
	payload := func(at int64) bool { // scans of heads do not read it, and callers of Scan read it again
		for batch, err := range Scan("k", bytes.NewReader(object), listed.Size) {
			if x := batch.Extent; err == nil && at >= x.Offset && at < x.Offset+x.Length {
				return true
			}
		}
		return false
	}
	for at := range listed.Size {
		if payload(at) {
			continue
		}
		for read := range 4 {
			for ahead := range int64(2) {
				store := &flippingStore{object: object, at: at, read: read}
				reader := NewReader(t.Context(), store, listed, ahead*listed.Size)
				scan := reader.Scan
				if ahead == 0 {
					scan = reader.ScanHeads
				}
				found := 0
				var err error
				for _, wrong := range scan() {
					found++
					err = errors.Join(err, wrong)
				}
				if flipped := read == 0; flipped != (err != nil) {
					t.Fatalf("byte %d altered in read %d: the error is %v", at, read, err)
				}
				if read > 0 && found != 4 {
					t.Errorf("byte %d altered in read %d: %d batches, want 4", at, read, found)
				}
				if read == 0 && (store.anew != Reads-1 || ahead > 0 && store.reads != Reads) {
					t.Errorf("byte %d altered each time: %d reads include it, and %d use a new connection", at, store.reads, store.anew)
				}
			}
		}
	}
}

// silentStore does not answer its first reads.
type silentStore struct {
	Store
	silent int
}

func (s *silentStore) ReadRange(ctx context.Context, _ string, _, _ int64) ([]byte, error) {
	if s.silent--; s.silent >= 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []byte("good"), nil
}

func TestReadThatGetsNoAnswerIsRepeatedAndEnds(t *testing.T) {
	extent := messages.Extent{Key: "k", Length: 4, CRC: Checksum([]byte("good"))}
	for silent, want := range map[int]error{1: nil, 1000: ErrUnreachable} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			_, err := NewFrames(&silentStore{silent: silent}).Read(t.Context(), extent)
			if !errors.Is(err, want) {
				t.Errorf("after %d reads without an answer the error is %v, want %v", silent, err, want)
			}
			if took := time.Since(began); took > 2*patience {
				t.Errorf("it took %v", took)
			}
		})
	}
}
