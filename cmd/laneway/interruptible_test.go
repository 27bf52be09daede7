package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func TestEverythingIsReadAhead(t *testing.T) {
	want := make([]byte, 5*lineBuffer+17)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(want)
	for name, in := range map[string]io.Reader{
		"whole": bytes.NewReader(want), "data with EOF": iotest.DataErrReader(bytes.NewReader(want)),
		"halves": iotest.HalfReader(bytes.NewReader(want)),
	} {
		got, err := io.ReadAll(newInterruptible(t.Context(), in))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes of %d, error %v", name, len(got), len(want), err)
		}
	}
}

func TestErrorComesAfterWhatWasRead(t *testing.T) {
	broken := errors.New("broken")
	in := io.MultiReader(bytes.NewReader([]byte("abc")), iotest.ErrReader(broken))
	got, err := io.ReadAll(newInterruptible(t.Context(), in))
	if string(got) != "abc" || !errors.Is(err, broken) {
		t.Errorf("%q, error %v", got, err)
	}
}

func TestBlockedReadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	blocked, unblock := io.Pipe()
	defer unblock.Close()
	in := newInterruptible(ctx, blocked)
	cancel()
	if _, err := in.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
