package messages

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// allocated returns how many bytes f allocates. Tests that use it do not run in parallel.
func allocated(f func()) uint64 {
	f() // fills the pools
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func wantAlias(t *testing.T, buf, part []byte) {
	t.Helper()
	at := bytes.Index(buf, part)
	if at < 0 {
		t.Fatalf("%.20q is not in the buffer", part)
	}
	if &buf[at] != &part[0] {
		t.Errorf("%.20q is a copy", part)
	}
	if cap(part) != len(part) {
		t.Errorf("appending to %.20q would overwrite the %d bytes that follow", part, cap(part)-len(part))
	}
}

func TestPayloadOfADecodedStageAliasesTheBuffer(t *testing.T) {
	buf := Encode(sampleStage)
	stage := mustDecode(t, buf).(Stage)
	wantAlias(t, buf, stage.Batches[0].Payload)
	wantAlias(t, buf, stage.Batches[1].Payload)
}

func TestInlinePayloadsAliasTheBuffer(t *testing.T) {
	buf := EncodeEntry(sampleInlineEntry)
	entry, err := DecodeEntry(buf)
	if err != nil {
		t.Fatal(err)
	}
	wantAlias(t, buf, entry.Batches[0].Inline)
	buf = Encode(samples[kindRelease])
	wantAlias(t, buf, mustDecode(t, buf).(Release).Batches[1].Inline)
}

func TestEntryOfADecodedCommittedAliasesTheBuffer(t *testing.T) {
	buf := Encode(samples[kindCommitted])
	wantAlias(t, buf, mustDecode(t, buf).(Committed).Entry)
}

func TestStringsOfADecodedMessageAreCopies(t *testing.T) {
	buf := Encode(sampleStage)
	stage := mustDecode(t, buf).(Stage)
	clear(buf)
	if stage.Partition.Topic != "orders" || stage.Batches[0].Lane != "lane-a" {
		t.Errorf("topic %q and lane %q changed with the buffer", stage.Partition.Topic, stage.Batches[0].Lane)
	}
}

func TestStringsOfStoredFormsAreCopies(t *testing.T) {
	stored, saved := EncodeEntry(sampleFullEntry), EncodeSnapshot(sampleSnapshot)
	entry, err := DecodeEntry(stored)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := DecodeSnapshot(saved)
	if err != nil {
		t.Fatal(err)
	}
	clear(stored)
	clear(saved)
	if diff := cmp.Diff(sampleFullEntry, entry); diff != "" {
		t.Errorf("the entry changed with its buffer: -before +after\n%s", diff)
	}
	if diff := cmp.Diff(sampleSnapshot, snapshot); diff != "" {
		t.Errorf("the snapshot changed with its buffer: -before +after\n%s", diff)
	}
}

func TestDecodingAllocatesNothingForPayloads(t *testing.T) {
	const payload = 4 << 20
	buf := Encode(Stage{samplePartition, 1, "", []StageBatch{{Submission: Submission{Batch: Batch{Ticket: Ticket{Lane: "a"}}}, Payload: make([]byte, payload)}}})
	if n := allocated(func() { mustDecode(t, buf) }); n > 64<<10 {
		t.Errorf("decoding a payload of %d bytes allocates %d bytes", payload, n)
	}
}

func TestEncodingAStageNeverGrowsItsBuffer(t *testing.T) {
	stage := stageOf(1000, 1<<10)
	// A buffer that doubles from a small size would take a dozen.
	if n := testing.AllocsPerRun(10, func() { Encode(stage) }); n > 8 {
		t.Errorf("%v allocations", n)
	}
}

func stageOf(batches, payload int) Stage {
	s := Stage{Partition: samplePartition, Epoch: 7}
	for i := range batches {
		s.Batches = append(s.Batches, StageBatch{
			Submission: Submission{Batch: Batch{Ticket: Ticket{Lane: "lane-a", Number: uint64(i)}, Records: 1}},
			Payload:    make([]byte, payload),
		})
	}
	return s
}
