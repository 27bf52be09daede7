package kvbucket_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/protocol"
)

const (
	bucket = "DAMAGED"
	value  = "the value of the key"
)

// restarted writes a key, alters the file of its bucket while the server is stopped, and
// returns what is read of the key after that.
func restarted(t *testing.T, alter func(block []byte)) (entry kvbucket.Entry, records []kvbucket.Record, getErr error) {
	t.Helper()
	folder := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run(t, folder, func(js jetstream.JetStream) {
		kv, err := kvbucket.OpenBucket(ctx, js, bucket, "")
		if err == nil {
			_, err = kv.Update(ctx, "key", []byte(value), 0) // its message has headers
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	blocks, err := filepath.Glob(filepath.Join(folder, "nats", "jetstream", "*", "streams", "KV_"+bucket, "msgs", "*.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatalf("blocks %q, %v", blocks, err)
	}
	block, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	alter(block)
	if err := os.WriteFile(blocks[0], block, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, folder, func(js jetstream.JetStream) {
		entry, getErr = kvbucket.Get(ctx, js.Conn(), bucket, "key")
		if records, _, err = kvbucket.Records(ctx, js, bucket, ""); err != nil {
			t.Error(err)
		}
	})
	return entry, records, getErr
}

func run(t *testing.T, folder string, do func(jetstream.JetStream)) {
	t.Helper()
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
	do(js)
}

// headerLength is where a block of JetStream has the length of its only message's headers:
// behind the subject, and not covered by the checksum of the message.
func headerLength(t *testing.T, block []byte) int {
	t.Helper()
	begin := bytes.Index(block, []byte("NATS/1.0"))
	if begin < 4 || int(binary.LittleEndian.Uint32(block[begin-4:])) <= len("NATS/1.0") {
		t.Fatalf("the block has another form: %q", block)
	}
	return begin - 4
}

func TestAKeyThatJetStreamCannotReadIsCorrupt(t *testing.T) {
	for name, alter := range map[string]func(*testing.T, []byte){
		"its value is damaged":                  func(_ *testing.T, block []byte) { block[bytes.Index(block, []byte(value))] ^= 1 },
		"its headers have taken from the value": func(t *testing.T, block []byte) { block[headerLength(t, block)]++ },
		"its headers are cut":                   func(t *testing.T, block []byte) { block[headerLength(t, block)] -= 8 },
	} {
		t.Run(name, func(t *testing.T) {
			entry, records, err := restarted(t, func(block []byte) { alter(t, block) })
			if !errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) || entry.Exists {
				t.Errorf("got %+v, %v", entry, err)
			}
			if len(records) != 1 || !records[0].Unreadable {
				t.Errorf("listed are %+v", records)
			}
		})
	}
}

func TestAKeyThatNobodyWroteIsNotCorrupt(t *testing.T) {
	run(t, t.TempDir(), func(js jetstream.JetStream) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := kvbucket.OpenBucket(ctx, js, bucket, ""); err != nil {
			t.Fatal(err)
		}
		if entry, err := kvbucket.Get(ctx, js.Conn(), bucket, "key"); err != nil || entry.Exists || entry.Revision != 0 {
			t.Errorf("got %+v, %v", entry, err)
		}
	})
}

func TestRetryEndsWhenWhatIsReadIsCorrupt(t *testing.T) {
	tries := 0
	_, err := kvbucket.Retry(t.Context(), func(context.Context) (int, error) {
		tries++
		return 0, protocol.NewError(protocol.CodeCorrupt, "a key")
	})
	if tries != 1 || !errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
		t.Errorf("after %d tries: %v", tries, err)
	}
}
