package messages

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// summed ends data with its checksum, as a stored snapshot does.
func summed(data []byte) []byte {
	return binary.BigEndian.AppendUint32(slices.Clone(data), crc32.Checksum(data, snapshotSum))
}

func unsummed(stored []byte) []byte { return stored[: len(stored)-4 : len(stored)-4] }

func TestSnapshotSurvivesStorage(t *testing.T) {
	for name, want := range map[string]Snapshot{"full": sampleSnapshot, "empty": {}} {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeSnapshot(EncodeSnapshot(want))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-written +read\n%s", diff)
			}
		})
	}
}

func TestAnySnapshotSurvivesStorage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genSnapshot.Draw(t, "snapshot")
		got, err := DecodeSnapshot(EncodeSnapshot(want))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-written +read\n%s", diff)
		}
	})
}

// storedSnapshot is sampleSnapshot as it is written. A change needs another
// version, or an older process would misread it.
const storedSnapshot = "dc001305cfffffffffffffffffceffffffff2ccf7fffffffffffffffcf17979cfe362a0000a469642d31a56f776e6572060708099294a1610c0b92930b05c2930c01c394a1620000909293a469642d3105cf17979cfe362a000093a00000cf17979cfe362a0001929393cf0000010000000000cd7fffa466656564cf0000034630b8a0009603ce7fffffff0105020293930200a0009098a46d2f303105cffffffffffffffffecd0384cf7fffffffffffffffcf0000010000000000d38000000000000000ce040000009297cfffffffffffffffffcf7fffffffffffffffd38000000000000000cf7fffffffffffffffce00100000cd012ccfffffffffffffffff9700000000000000cfffffffffffffffff98bcd86e"

// storedSnapshot4 is sampleSnapshot as it was written before snapshots had a Watermark.
const storedSnapshot4 = "dc001204cfffffffffffffffffceffffffff2ccf7fffffffffffffffcf17979cfe362a0000a469642d31a56f776e6572060708099294a1610c0b92930b05c2930c01c394a1620000909293a469642d3105cf17979cfe362a000093a00000cf17979cfe362a0001929393cf0000010000000000cd7fffa466656564cf0000034630b8a0009603ce7fffffff0105020293930200a0009094a46d2f303105cffffffffffffffffecd03849296cfffffffffffffffffcf7fffffffffffffffd38000000000000000cf7fffffffffffffffce00100000cd012c960000000000006f6c0698"

func TestSnapshotOfTheVersionBeforeIsRead(t *testing.T) {
	want := sampleSnapshot
	want.Watermark = 0
	want.History = History{Manifest: sampleHistory.Manifest, Start: sampleHistory.Start, End: sampleHistory.End}
	want.Runs = slices.Clone(want.Runs)
	for i := range want.Runs {
		want.Runs[i].Generation = 0
	}
	got, err := DecodeSnapshot(stored(t, storedSnapshot4))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-written +read\n%s", diff)
	}
}

func TestSnapshotIsWrittenAsBefore(t *testing.T) {
	got, err := DecodeSnapshot(stored(t, storedSnapshot))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleSnapshot, got); diff != "" {
		t.Errorf("-written +read\n%s", diff)
	}
	if now := hex.EncodeToString(EncodeSnapshot(sampleSnapshot)); now != storedSnapshot {
		t.Errorf("the same version now writes\n%s", now)
	}
}

func TestSnapshotWithADamagedByteIsRefused(t *testing.T) {
	data := EncodeSnapshot(sampleSnapshot)
	for at := range data {
		data[at] ^= 0x10
		_, err := DecodeSnapshot(data)
		wantMalformed(t, err, "the CRC-32C of a snapshot is")
		data[at] ^= 0x10
	}
}

func TestDecodeSnapshotRefusesWhatIsNoSnapshot(t *testing.T) {
	lane := func(fields ...any) []any { return snapshotFieldsOf([]any{fields}, []any{}, []any{}) }
	producer := func(fields ...any) []any { return snapshotFieldsOf([]any{}, []any{}, []any{fields}) }
	archived := func(history []any, runs ...any) []any {
		return append(snapshotFieldsOf([]any{}, []any{}, []any{})[:16], history, runs, 0)
	}
	feed := []any{1, 1, "feed"}
	version := slices.Clone(snapshotFieldsOf([]any{}, []any{}, []any{}))
	version[0] = snapshotVersion + 1
	for name, c := range map[string]struct {
		value any
		says  string
	}{
		"version to come":          {version, "snapshot of version 6, this process reads 4 and 5"},
		"one field less":           {snapshotFieldsOf([]any{}, []any{}, []any{})[:18], "snapshot of 18 fields"},
		"one field more":           {append(snapshotFieldsOf([]any{}, []any{}, []any{}), 1), "snapshot of 20 fields"},
		"version of long ago":      {append([]any{3}, version[1:16]...), "snapshot of version 3, this process reads 4 and 5"},
		"history of three fields":  {archived(historyOf("m", 1, 2)), "3 fields where 8 are expected"},
		"start beyond the history": {archived(historyOf("m", 3, 1, 2, 0, 0, 0, 0)), "a log start offset of 3 above the archived end 2"},
		"run of five fields":       {archived(noHistory, []any{1, 1, 1, 1, 1, 1}), "6 fields where 7 are expected"},
		"run of a negative size":   {archived(noHistory, []any{1, 1, 1, 1, int64(-1), 1, 0}), "-1 is negative"},
		"lane of three fields":     {lane("a", 1, 1), "3 fields where 4 are expected"},
		"negative number":          {lane("a", int64(-1), 1, []any{}), "-1 is negative"},
		"ticket of two fields":     {lane("a", 1, 1, []any{[]any{1, 1}}), "2 fields where 3 are expected"},
		"message id of two fields": {snapshotFieldsOf([]any{}, []any{[]any{"id", 1}}, []any{}), "2 fields where 3 are expected"},
		"producer of two fields":   {producer(feed, 1), "2 fields where 3 are expected"},
		"negative idle time":       {producer(feed, int64(-1), []any{}), "-1 is negative"},
		"negative epoch":           {producer([]any{1, int64(-1), ""}, 1, []any{}), "-1 is negative"},
		"half a batch":             {producer(feed, 1, []any{1, 2}), "2 numbers are no batches"},
		"sequence of 32 bits":      {producer(feed, 1, []any{1, 0, int64(1) << 31}), "does not fit 32 bits"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeSnapshot(summed(raw(t, c.value)))
			wantMalformed(t, err, c.says)
			if !cmp.Equal(got, Snapshot{}) {
				t.Errorf("snapshot is %v", got)
			}
		})
	}
	if _, err := DecodeSnapshot(summed(raw(t, producer(feed, 1, []any{1, 2, 3})))); err != nil {
		t.Errorf("the snapshot that the cases are made from: %v", err)
	}
}
