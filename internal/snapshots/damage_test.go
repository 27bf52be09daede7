package snapshots_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/snapshots"
)

func TestAnOlderSnapshotIsReadIfTheNewestIsDamaged(t *testing.T) {
	for name, alter := range map[string]func(t *testing.T, block []byte){
		"in its content": func(_ *testing.T, block []byte) { block[bytes.LastIndex(block, []byte("2 2 "))] ^= 1 },
		"where its headers end": func(t *testing.T, block []byte) {
			at := bytes.LastIndex(block, []byte("NATS/1.0")) - 4 // the length of the headers
			if length := binary.LittleEndian.Uint32(block[at:]); length < 20 || length > 200 {
				t.Fatalf("the block has another form: %d", length)
			}
			block[at] -= 8
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			onServer(t, folder, func(ctx context.Context, s *snapshots.Store) { save(ctx, t, s, partition, 1, 2) })
			blocks, err := filepath.Glob(filepath.Join(folder, "nats", "jetstream", "*", "streams", "LANEWAY_SNAPSHOTS", "msgs", "*.blk"))
			if err != nil || len(blocks) != 1 {
				t.Fatalf("blocks %q, %v", blocks, err)
			}
			block, err := os.ReadFile(blocks[0])
			if err != nil {
				t.Fatal(err)
			}
			alter(t, block)
			if err := os.WriteFile(blocks[0], block, 0o600); err != nil {
				t.Fatal(err)
			}
			onServer(t, folder, func(ctx context.Context, s *snapshots.Store) { wantLoaded(ctx, t, s, partition, 1) })
		})
	}
}

// onServer opens the store in a folder, and stops the server again.
func onServer(t *testing.T, folder string, do func(context.Context, *snapshots.Store)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server, err := embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
	}()
	conn, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	store, err := snapshots.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	do(ctx, store)
}
