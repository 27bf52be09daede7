package embedded

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// record returns a record of a block.
func record(sequence uint64, payload int) []byte {
	b := make([]byte, recordHeader+payload)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint64(b[4:], sequence)
	return b
}

func TestBlockWithASequenceThatJumpsIsFound(t *testing.T) {
	cut := func(b []byte, n int) []byte { return b[:len(b)-n] }
	for name, c := range map[string]struct {
		records [][]byte
		at      int64
		after   uint64
	}{
		"dense":            {[][]byte{record(1, 9), record(2, 500), record(3, 9)}, 0, 0},
		"deleted between":  {[][]byte{record(1, 9), record(1_000_000, 9)}, 0, 0},
		"begins late":      {[][]byte{record(1<<40, 9), record(1<<40+1, 9)}, 0, 0},
		"erased":           {[][]byte{record(1, 9), record(2|erasedBit, 9), record(3, 9)}, 0, 0},
		"tombstone":        {[][]byte{record(1, 9), record(7|tombstoneBit, 9), record(2, 9)}, 0, 0},
		"falls":            {[][]byte{record(1<<30, 9), record(5, 9), record(1<<30+1, 9)}, 0, 0},
		"a flipped bit":    {[][]byte{record(1, 9), record(2|1<<34, 9), record(3, 9)}, recordHeader + 9, 2 | 1<<34},
		"erased and flips": {[][]byte{record(1, 9), record(2|1<<25|erasedBit, 9)}, recordHeader + 9, 2 | 1<<25},
		"cut off":          {[][]byte{record(1, 9), cut(record(2, 9), 5)}, 0, 0},
		"no length":        {[][]byte{record(1, 9), make([]byte, 40), record(1<<40, 9)}, 0, 0},
		"nothing":          {nil, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			at, _, after := walkBlock(bufio.NewReader(bytes.NewReader(slices.Concat(c.records...))))
			if at != c.at || after != c.after {
				t.Errorf("found %d at byte %d, want %d at %d", after, at, c.after, c.at)
			}
		})
	}
}

// A server that reads such a block takes all memory and never ends.
func TestStartOnUnreadableBlockNamesStream(t *testing.T) {
	data := t.TempDir()
	first := start(t, data)
	ctx, js, _ := stream(t, connect(t, first))
	for range 5 {
		if _, err := js.Publish(ctx, "s", []byte("kept")); err != nil {
			t.Fatal(err)
		}
	}
	shutdown(t, first)
	path := filepath.Join(data, "nats", "jetstream", "$G", "streams", "S", "msgs", "1.blk")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second := binary.LittleEndian.Uint32(content)
	flip := func() {
		content[second+4+5] ^= 1 << 2 // of its sequence
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flip()
	_, err = Start(Options{Listen: "127.0.0.1:0", Data: data})
	if !errors.Is(err, ErrBlock) || !strings.Contains(err.Error(), "stream S:") || !strings.Contains(err.Error(), path) {
		t.Fatalf("Start: %v", err)
	}
	flip()
	_, _, str := stream(t, connect(t, start(t, data)))
	if info, err := str.Info(t.Context()); err != nil || info.State.Msgs != 5 {
		t.Errorf("after the repair: %+v, %v", info, err)
	}
}

func TestSilentStartHangsAndNamesStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		adapter := newLogAdapter(zap.NewNop())
		started := time.Now()
		go func() {
			for _, name := range []string{"A", "B", "C"} {
				adapter.Noticef("  Starting restore for stream '%s > %s'", "$G", name)
			}
			for range 10 { // slow, but with progress
				<-time.After(50 * time.Second)
				adapter.Noticef("  Restored %s messages for stream '%s > %s' in %v", "2", "$G", "B", time.Second)
			}
		}()
		err := await(t.Context(), make(chan struct{}), adapter, time.Minute)
		if !errors.Is(err, ErrStartHangs) || !strings.Contains(err.Error(), "restores A, C and says nothing") {
			t.Errorf("await: %v", err)
		}
		if took := time.Since(started); took != 10*50*time.Second+time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := await(ctx, make(chan struct{}), newLogAdapter(zap.NewNop()), time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("await: %v", err)
	}
	started := make(chan struct{})
	close(started)
	for range 100 { // both may be true, and select takes any
		if err := await(ctx, started, newLogAdapter(zap.NewNop()), time.Hour); !errors.Is(err, context.Canceled) {
			t.Fatalf("await of a server that has started: %v", err)
		}
	}
	data := t.TempDir()
	claim, err := NewClaim(Options{Listen: "127.0.0.1:0", Data: data})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := claim.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Start: %v", err)
	}
	start(t, data) // the folder is free
}
