package partitionlog_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// The length of a message's headers is not covered by JetStream's checksum. Whatever it
// says, what cannot be read is named, and what stands behind it is read.
func TestAnEntryWhoseHeadersAreDamagedIsCorrupt(t *testing.T) {
	for name, alter := range map[string]func(length []byte){
		"shorter":  func(length []byte) { length[0]-- },
		"longer":   func(length []byte) { length[0]++ },
		"negative": func(length []byte) { length[3] ^= 0x80 },
	} {
		t.Run(name+", and is the last one", func(t *testing.T) { damageThird(t, 3, alter) })
		t.Run(name+", and is not the last one", func(t *testing.T) { damageThird(t, 4, alter) })
	}
}

// damageThird alters the length of the third entry's headers while the server is stopped.
func damageThird(t *testing.T, last uint64, alter func(length []byte)) {
	t.Helper()
	folder := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	onServer(t, folder, func(log *partitionlog.Log) {
		must(t, log.Create(ctx, 1, 0))
		for n := uint64(1); n < last; n++ {
			_, err := log.Append(ctx, n, messages.EncodeEntry(entry(int64(n)-1, 1)))
			must(t, err)
		}
	})
	blocks, err := filepath.Glob(filepath.Join(folder, "nats", "jetstream", "*", "streams", messages.JournalStream(partition.Log), "msgs", "*.blk"))
	must(t, err)
	block, err := os.ReadFile(blocks[0])
	must(t, err)
	at := 0
	for range 3 {
		at += bytes.Index(block[at:], []byte("NATS/1.0")) + 1
	}
	alter(block[at-5 : at-1])
	must(t, os.WriteFile(blocks[0], block, 0o600))

	onServer(t, folder, func(log *partitionlog.Log) {
		entries, _, err := log.Read(ctx, 3, 1)
		var damaged *partitionlog.DamagedEntry
		if err != nil && (!errors.As(err, &damaged) || damaged.Sequence != 3) || len(entries) > 0 && entries[0].Sequence == 3 {
			t.Errorf("read are %+v, %v", entries, err)
		}
		var read, lost []uint64
		must(t, log.Walk(ctx, 1, last, func(e messages.LoggedEntry) error {
			read = append(read, e.Sequence)
			return nil
		}, func(m partitionlog.Missing) error {
			lost = append(lost, m.First, m.Last)
			return nil
		}))
		if want := []uint64{1, 2, 4}[:last-1]; !slices.Equal(read, want) || !slices.Equal(lost, []uint64{3, 3}) {
			t.Errorf("walked over %v, missing are %v", read, lost)
		}
	})
}

// onServer does something with the log on a server that is gone afterwards.
func onServer(t *testing.T, folder string, do func(*partitionlog.Log)) {
	t.Helper()
	s, err := embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: folder})
	must(t, err)
	defer func() { must(t, s.Shutdown()) }()
	conn, err := s.Connect()
	must(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	must(t, err)
	do(partitionlog.New(conn, js, partition))
}

// In a journal, other logs may have had entries where groups are lost.
func TestLogIsSuspectWhenGroupsBehindItsEndAreLost(t *testing.T) {
	s := start(t)
	one, other := partition, partition
	other.Number++
	for _, p := range []protocol.Partition{one, other} {
		must(t, partitionlog.New(s.conn, s.js, p).Create(s.ctx, 1, 0)) // groups 1 and 2
	}
	_, err := partitionlog.New(s.conn, s.js, one).Append(s.ctx, 1, messages.EncodeEntry(entry(0, 1)))
	must(t, err)
	stream, err := s.js.Stream(s.ctx, messages.JournalStream(0))
	must(t, err)
	must(t, stream.DeleteMsg(s.ctx, 3))
	conn, js := connect(t, s.embedded)
	for _, p := range []protocol.Partition{one, other} {
		log := partitionlog.New(conn, js, p)
		if end, err := log.Confirm(s.ctx, 1); err != nil || !end.Suspect || end.Last != 1 {
			t.Errorf("the end of %s is %+v, %v", p, end, err)
		}
		if state, err := log.State(s.ctx); err != nil || state.Damage == nil || state.Readable != 1 {
			t.Errorf("the state of %s is %+v, %v", p, state, err)
		}
	}
	log := partitionlog.New(conn, js, other)
	_, err = log.Append(s.ctx, 1, messages.EncodeEntry(entry(0, 1)))
	must(t, err)
	if state, err := log.State(s.ctx); err != nil || state.Damage != nil || state.Readable != 2 {
		t.Errorf("with another entry it is %+v, %v", state, err)
	}
}
