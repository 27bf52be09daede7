package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"laneway.dev/internal/objectstore"
)

func putGathers(t *testing.T, store objectstore.Store) {
	for name, parts := range map[string][][]byte{
		"nothing":     nil,
		"empty parts": {nil, {}, nil},
		"one part":    {[]byte("x")},
		"some parts":  {[]byte("he"), nil, []byte("l"), {}, []byte("lo")},
		"5 MiB":       {pattern(5<<20 - 1), {7}},
	} {
		t.Run(name, func(t *testing.T) {
			want := bytes.Join(parts, []byte{})
			key := put(t, store, parts...)
			wantContent(t, store, key, 0, want)
			if _, err := store.ReadRange(t.Context(), key, 0, int64(len(want))+1); err == nil {
				t.Error("the object is longer than its parts")
			}
		})
	}
}

func putLeavesParts(t *testing.T, store objectstore.Store) {
	parts := [][]byte{pattern(100), pattern(3)}
	key := put(t, store, parts...)
	if !bytes.Equal(parts[0], pattern(100)) || !bytes.Equal(parts[1], pattern(3)) {
		t.Error("the parts were changed")
	}
	clear(parts[0]) // the caller uses its memory again
	wantContent(t, store, key, 0, pattern(100))
}

func putNeverReplaces(t *testing.T, store objectstore.Store) {
	key := put(t, store, []byte("first"))
	for _, second := range []string{"other", "first", ""} {
		wantError(t, store.Put(t.Context(), key, [][]byte{[]byte(second)}), objectstore.ErrExists, key)
	}
	wantContent(t, store, key, 0, []byte("first"))
}

func oneOfManyPuts(t *testing.T, store objectstore.Store) {
	const writers = 8
	key := NewKey(t)
	content := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 64<<10) }
	errs := make([]error, writers)
	var wait sync.WaitGroup
	for i := range writers {
		wait.Go(func() { errs[i] = store.Put(t.Context(), key, [][]byte{content(i)}) })
	}
	wait.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Errorf("puts %d and %d of one key both succeeded", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, objectstore.ErrExists) && !errors.Is(err, objectstore.ErrConflict):
			t.Errorf("put %d: %v, want ErrExists or ErrConflict", i, err)
		}
	}
	if winner < 0 {
		t.Fatal("no put succeeded")
	}
	wantContent(t, store, key, 0, content(winner))
}

func manyPuts(t *testing.T, store objectstore.Store) {
	want := make(map[string]int64)
	var wait sync.WaitGroup
	for i := range 16 {
		keys := []string{NewKey(t), NewKey(t), NewKey(t)}
		for _, key := range keys {
			want[key] = int64(1000 * i)
		}
		wait.Go(func() {
			for _, key := range keys {
				if err := store.Put(t.Context(), key, [][]byte{pattern(1000 * i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	wantListed(t, store, "", want)
	for key, size := range want {
		wantContent(t, store, key, 0, pattern(int(size)))
	}
}

func rangesAreExact(t *testing.T, store objectstore.Store) {
	const size = 100_000
	whole := pattern(size)
	key := put(t, store, whole)
	empty := put(t, store)
	for _, r := range [][2]int{
		{0, size}, {0, 1}, {1, 1}, {size - 1, 1}, {size / 2, size / 2}, {10, 1000}, {0, 0}, {5, 0}, {size, 0},
	} {
		wantContent(t, store, key, int64(r[0]), whole[r[0]:r[0]+r[1]])
	}
	wantContent(t, store, empty, 0, nil)

	first, err := store.ReadRange(t.Context(), key, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	clear(first) // the caller owns it
	wantContent(t, store, key, 0, whole[:10])
}

func rangeBeyondTheEnd(t *testing.T, store objectstore.Store) {
	const size = 100
	key := put(t, store, pattern(size))
	for _, r := range [][2]int64{
		{0, size + 1},
		{size - 1, 2},
		{size, 1},
		{size + 1, 0},
		{size + 1, 1},
		{10 * size, 5},
		{1, math.MaxInt64},
		{0, math.MaxInt64},
		{math.MaxInt64, 1},
		{-1, 1},
		{0, -1},
	} {
		t.Run(fmt.Sprint(r), func(t *testing.T) {
			content, err := store.ReadRange(t.Context(), key, r[0], r[1])
			corrupt, ok := errors.AsType[*objectstore.CorruptError](err)
			if !ok || corrupt.Damage != objectstore.Torn || corrupt.Key != key || corrupt.Offset != r[0] || corrupt.Length != r[1] {
				t.Errorf("%d bytes and error %v, want a CorruptError of a torn object with key and range", len(content), err)
			}
		})
	}
}

func unknownKey(t *testing.T, store objectstore.Store) {
	put(t, store, []byte("x"))
	key := NewKey(t)
	for _, length := range []int64{0, 1, 1000} {
		_, err := store.ReadRange(t.Context(), key, 0, length)
		wantError(t, err, objectstore.ErrNotFound, key)
	}
}

func badKeys(t *testing.T, store objectstore.Store) {
	for _, key := range []string{"", ".", "..", "../x", "/x", "objects/../../x", "objects//x", "objects/./x", "x/"} {
		if err := store.Put(t.Context(), key, [][]byte{[]byte("x")}); err == nil {
			t.Errorf("put: %q was accepted", key)
		}
		if _, err := store.ReadRange(t.Context(), key, 0, 0); err == nil || errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("read: %q was accepted (%v)", key, err)
		}
		if err := store.Delete(t.Context(), key); err == nil {
			t.Errorf("delete: %q was accepted", key)
		}
	}
}
