package objectstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"laneway.dev/pkg/messages"
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
