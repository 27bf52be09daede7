package objectstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
)

// ranged counts the reads of a store, and fails those that a test chooses.
type ranged struct {
	Store
	mu    sync.Mutex
	reads []string // key and range of each read
	fail  func(n int, key string, content []byte) error
}

func (s *ranged) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads = append(s.reads, fmt.Sprintf("%s %d+%d", key, offset, length))
	content, err := s.Store.ReadRange(ctx, key, offset, length)
	if s.fail != nil {
		if failed := s.fail(len(s.reads), key, content); failed != nil {
			return nil, failed
		}
	}
	return content, err
}

// outcomes are what Read has passed to its function for each extent.
type outcomes struct {
	contents [][]byte
	errs     []error
}

func readExtents(t *testing.T, store Store, limit int64, extents []messages.Extent) outcomes {
	t.Helper()
	var mu sync.Mutex
	calls := make([]int, len(extents))
	o := outcomes{make([][]byte, len(extents)), make([]error, len(extents))}
	reader := NewExtents(ExtentsConfig{Store: store, Timeout: time.Minute, Range: limit})
	reader.Read(t.Context(), extents, func(i int, content []byte, err error) {
		mu.Lock()
		defer mu.Unlock()
		calls[i]++
		o.contents[i], o.errs[i] = content, err
	})
	if want := slices.Repeat([]int{1}, len(extents)); !slices.Equal(calls, want) {
		t.Errorf("calls for the extents: %v", calls)
	}
	return o
}

// putObject stores an object in which each part is an extent.
func putObject(t *testing.T, store Store, parts ...[]byte) (extents []messages.Extent) {
	t.Helper()
	key, err := NewKey(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Put(t.Context(), key, parts); err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	for _, part := range parts {
		extents = append(extents, messages.Extent{Key: key, Offset: at, Length: int64(len(part)), CRC: Checksum(part)})
		at += int64(len(part))
	}
	return extents
}

func newRanged(t *testing.T, fail func(n int, key string, content []byte) error) *ranged {
	t.Helper()
	store, err := Open(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return &ranged{Store: store, fail: fail}
}

func TestNeighborsAreReadTogether(t *testing.T) {
	store := newRanged(t, nil)
	part := func(c byte) []byte { return bytes.Repeat([]byte{c}, 100) }
	x := putObject(t, store, part('a'), part('b'), part('c'), make([]byte, maxSkip+1), part('d'))
	y := putObject(t, store, part('e'))
	o := readExtents(t, store, 250, []messages.Extent{x[4], y[0], x[2], x[0], x[1]})
	if got := bytes.Join(o.contents, nil); !bytes.Equal(got, bytes.Join([][]byte{part('d'), part('e'), part('c'), part('a'), part('b')}, nil)) {
		t.Errorf("read %q, %v", got, o.errs)
	}
	want := []string{
		x[0].Key + " 0+200", x[0].Key + " 200+100", fmt.Sprintf("%s %d+100", x[0].Key, 300+maxSkip+1), y[0].Key + " 0+100",
	}
	slices.Sort(want)
	slices.Sort(store.reads)
	if !slices.Equal(store.reads, want) {
		t.Errorf("requests %q, want %q", store.reads, want)
	}
}

func TestTornEndCostsOnlyTheExtentsBeyondIt(t *testing.T) {
	store := newRanged(t, nil)
	x := putObject(t, store, []byte("first"), []byte("second"))
	beyond := x[1]
	beyond.Offset += 3
	o := readExtents(t, store, 1<<20, []messages.Extent{x[0], beyond})
	if string(o.contents[0]) != "first" || o.errs[0] != nil {
		t.Errorf("the first is %q, %v", o.contents[0], o.errs[0])
	}
	if !IsDamage(o.errs[1]) {
		t.Errorf("the second: %v", o.errs[1])
	}
}

func TestMissingObjectIsConfirmed(t *testing.T) {
	store := newRanged(t, nil)
	x := putObject(t, store, []byte("x"))
	x[0].Key += "0"
	o := readExtents(t, store, 1<<20, x)
	if !errors.Is(o.errs[0], ErrNotFound) || len(store.reads) != Reads {
		t.Errorf("%v after %d reads", o.errs[0], len(store.reads))
	}
	store.reads, store.fail = nil, func(n int, _ string, content []byte) error {
		if n == 2 {
			return ErrThrottled
		}
		return nil
	}
	o = readExtents(t, store, 1<<20, x)
	if IsDamage(o.errs[0]) || !errors.Is(o.errs[0], ErrThrottled) {
		t.Errorf("%v after an answer that it is missing and a failed request", o.errs[0])
	}
}

func TestContentThatChangesIsAltered(t *testing.T) {
	store := newRanged(t, func(n int, _ string, content []byte) error {
		content[0] += byte(n)
		return nil
	})
	o := readExtents(t, store, 1<<20, putObject(t, store, []byte("x")))
	if IsDamage(o.errs[0]) || !errors.Is(o.errs[0], ErrAltered) {
		t.Errorf("error %v", o.errs[0])
	}
}

func TestFailedRequestEndsTheRead(t *testing.T) {
	store := newRanged(t, func(int, string, []byte) error { return ErrUnreachable })
	var extents []messages.Extent
	for range 10 * RequestsAtOnce {
		extents = append(extents, putObject(t, store, []byte("x"))...)
	}
	o := readExtents(t, store, 1<<20, extents)
	for i, err := range o.errs {
		if !errors.Is(err, ErrUnreachable) {
			t.Fatalf("extent %d: %v", i, err)
		}
	}
	if n := len(store.reads); n > 2*RequestsAtOnce {
		t.Errorf("%d requests", n)
	}
}
