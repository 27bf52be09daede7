package snapshots_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/snapshots"
	"laneway.dev/pkg/protocol"
)

var partition = protocol.Partition{Topic: "orders", TopicID: 1 << 63, Number: 3}

func open(t *testing.T) (context.Context, *snapshots.Store, jetstream.JetStream) {
	t.Helper()
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	store, err := snapshots.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, store, js
}

// content returns what a snapshot of several pieces may hold.
func content(sequence uint64) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%d ", sequence), 300_000)
}

// save stores snapshots, each of which keeps the one before it.
func save(ctx context.Context, t *testing.T, s *snapshots.Store, p protocol.Partition, sequences ...uint64) {
	t.Helper()
	keep := uint64(0)
	for _, n := range sequences {
		if err := s.Save(ctx, p, n, keep, content(n)); err != nil {
			t.Fatal(err)
		}
		keep = n
	}
}

func wantLoaded(ctx context.Context, t *testing.T, s *snapshots.Store, p protocol.Partition, sequences ...uint64) {
	t.Helper()
	var loaded [][]byte
	err := s.Load(ctx, p, func(data []byte) bool {
		loaded = append(loaded, data)
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	var want [][]byte
	for _, n := range sequences {
		want = append(want, content(n))
	}
	if !slices.EqualFunc(loaded, want, bytes.Equal) {
		t.Fatalf("%d snapshots are loaded, want those at %v", len(loaded), sequences)
	}
}

func TestTheLastTwoSnapshotsAreKeptNewestFirst(t *testing.T) {
	ctx, store, _ := open(t)
	wantLoaded(ctx, t, store, partition)
	save(ctx, t, store, partition, 9, 10, 200)
	wantLoaded(ctx, t, store, partition, 200, 10)
}

func TestSnapshotsFromTheOneToKeepOnStay(t *testing.T) {
	ctx, store, _ := open(t)
	save(ctx, t, store, partition, 9, 10, 11) // keeps 10
	if err := store.Save(ctx, partition, 200, 10, content(200)); err != nil {
		t.Fatal(err)
	}
	wantLoaded(ctx, t, store, partition, 200, 11, 10)
}

func TestSnapshotThatCannotBeReadBackIsAnError(t *testing.T) {
	ctx, store, js := open(t)
	save(ctx, t, store, partition, 1)
	stream, err := js.Stream(ctx, "LANEWAY_SNAPSHOTS")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxMsgs = int64(stream.CachedInfo().State.Msgs) + 1 // the last piece removes one
	config.MaxMsgsPerSubject, config.Discard = -1, jetstream.DiscardOld
	if _, err := js.UpdateStream(ctx, config); err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeKeep(1)); err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("x"), 5<<20)
	if err := store.Save(ctx, partition, 2, 0, big); err == nil || !strings.Contains(err.Error(), "read back") {
		t.Errorf("error is %v", err)
	}
}

func TestNothingOlderIsReadThanTheFirstGoodOne(t *testing.T) {
	ctx, store, _ := open(t)
	save(ctx, t, store, partition, 1, 2)
	err := store.Load(ctx, partition, func(data []byte) bool {
		if !bytes.Equal(data, content(2)) {
			t.Error("an older one is read")
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestALateSnapshotTakesThePlaceOfNoNewerOne(t *testing.T) {
	ctx, store, _ := open(t)
	save(ctx, t, store, partition, 100, 200)
	save(ctx, t, store, partition, 50)
	wantLoaded(ctx, t, store, partition, 200, 100, 50)
}

func TestPartitionsAndIncarnationsOfATopicAreApart(t *testing.T) {
	ctx, store, _ := open(t)
	neighbor, next := partition, partition
	neighbor.Number, next.TopicID = 30, 5
	save(ctx, t, store, partition, 1)
	save(ctx, t, store, neighbor, 2, 3, 4)
	save(ctx, t, store, next, 5, 6, 7)
	wantLoaded(ctx, t, store, partition, 1)
	wantLoaded(ctx, t, store, neighbor, 4, 3)
	wantLoaded(ctx, t, store, next, 7, 6)
}

func TestSnapshotWithMissingPieceIsIgnored(t *testing.T) {
	ctx, store, js := open(t)
	save(ctx, t, store, partition, 10, 20)
	stream, err := js.Stream(ctx, "LANEWAY_SNAPSHOTS")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(ctx, info.State.LastSeq-1); err != nil {
		t.Fatal(err)
	}
	wantLoaded(ctx, t, store, partition, 10)
	save(ctx, t, store, partition, 30, 40)
	wantLoaded(ctx, t, store, partition, 40, 30)
	if info, err = stream.Info(ctx); err != nil || info.State.Msgs != 4 {
		t.Fatalf("%d pieces are left (%v), want those of two snapshots", info.State.Msgs, err)
	}
}

func TestDeletingATopicRemovesItsSnapshots(t *testing.T) {
	ctx, store, js := open(t)
	other := partition
	other.TopicID = 5
	save(ctx, t, store, partition, 1)
	save(ctx, t, store, other, 2)
	if err := snapshots.Delete(ctx, js, partition.TopicID); err != nil {
		t.Fatal(err)
	}
	wantLoaded(ctx, t, store, partition)
	wantLoaded(ctx, t, store, other, 2)
}

func TestDeletingWithoutASingleSnapshotIsNoError(t *testing.T) {
	ctx := t.Context()
	_, js := embeddedtest.Start(t)
	if err := snapshots.Delete(ctx, js, 7); err != nil {
		t.Fatal(err)
	}
}
