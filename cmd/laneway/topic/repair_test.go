package topic

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/cli/clitest"
	"laneway.dev/internal/repair"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestRepairRejectsWrongFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--export", "x"}, {"--export", "-", "--store", "/s", "--json"}, {"--partition", "-2"}, {"--store", "ftp://bucket"},
	} {
		a, _, stderr := clitest.App(t)
		if code := cli.Run(a, &grammar{}, append([]string{"topic", "repair", "orders"}, args...)); code != cli.ExitUsage {
			t.Errorf("%q: code %d, %s", args, code, stderr)
		}
	}
	missing := filepath.Join(t.TempDir(), "missing")
	a, _, stderr := clitest.App(t)
	if code := cli.Run(a, &grammar{}, []string{"topic", "repair", "orders", "--store", missing}); code != cli.ExitFailed || !strings.Contains(stderr.String(), missing) {
		t.Errorf("a store that is not there: code %d, %s", code, stderr)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("it was made")
	}
}

func TestExportIsAtomic(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lost.jsonl")
	broken := errors.New("broken")
	err := writeNew(name, func(w io.Writer) error {
		_, err := io.WriteString(w, "half")
		return errors.Join(err, broken)
	})
	if !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(name), "*")); len(left) != 0 {
		t.Errorf("left are %q, %v", left, err)
	}
	whole := func(w io.Writer) error {
		_, err := io.WriteString(w, "whole")
		return err
	}
	if err := writeNew(name, whole); err != nil {
		t.Error(err)
	}
	if err := writeNew(name, whole); cli.ExitCode(err) != cli.ExitUsage {
		t.Errorf("a file that is there is written over: %v", err)
	}
	if content, err := os.ReadFile(name); string(content) != "whole" {
		t.Errorf("%q, %v", content, err)
	}
}

func TestPrintsReport(t *testing.T) {
	at := time.Date(2026, 11, 28, 1, 2, 3, 0, time.UTC)
	report := repair.Report{
		Topic: protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "orders"}, ID: 7, Created: at},
		Partitions: []repair.Partition{
			{LogName: "LANEWAY-orders-0", Log: repair.Log{Entries: 1, EndTime: &at, EndSequence: 9, EndOffset: 40}},
			{
				Partition: 1, LogName: "LANEWAY-orders-1", Findings: []string{"sequence 4, offset 7: gone"},
				Unknown: []repair.Offsets{{From: 7, To: new(int64(8))}}, Snapshot: &repair.Snapshot{Sequence: 5, EndOffset: 9, Time: at},
				Mark:  &messages.Mark{Written: messages.Position{Sequence: 6, Offset: 10}, Reserved: messages.Position{Sequence: 70, Offset: 100}},
				Lanes: []repair.Lane{{FrontendEpoch: 3, Lane: "a b", FirstTicket: 1, LastTicket: 2, Batches: 2, Records: 5, Bytes: 2048, FirstStaged: at, LastStaged: at}},
				Log:   repair.Log{Entries: 12, Gaps: []repair.Offsets{{From: 2, To: new(int64(4))}}}, Copies: 3, Refused: 4, NewestObject: &at,
				History: &repair.History{Manifest: "m/1/x", StartOffset: 1, EndSequence: 3, EndOffset: 5, Found: true},
				Plan: &repair.Plan{
					NextOffset: 100, Copied: 3, GivenUp: []repair.Offsets{{From: 7, To: new(int64(8))}, {From: 40, To: new(int64(100))}},
					Dropped: []repair.Offsets{{From: 20, To: new(int64(23))}}, DroppedRecords: 3, LostManifest: "m/1/y", LostReason: "it does not exist",
					Replacement: &repair.History{Manifest: "m/1/x", StartOffset: 1, EndOffset: 30}, Restored: &repair.Offsets{From: 1, To: new(int64(5))},
					Unreadable: []repair.Offsets{{From: 31, To: new(int64(33))}},
				},
			},
			{Partition: 2, LogName: "LANEWAY-orders-2", Findings: []string{"it contradicts itself"}, PlanError: "offsets were used twice"},
		},
		Store: &repair.Store{Objects: 1, Bytes: 1024, Damaged: []repair.Damaged{{Key: "o/0000000000000001/x", Size: 3, Reason: "torn"}}, MoreDamaged: 2},
	}
	var out strings.Builder
	if err := printReport(&out, &report); err != nil {
		t.Fatal(err)
	}
	const want = `topic orders, id 7, created 2026-11-28T01:02:03Z

partition 0: nothing is missing
  log LANEWAY-orders-0: 1 entry can be read, the last one 9 of 2026-11-28T01:02:03Z, next offset 40

partition 1: DAMAGED
  ! sequence 4, offset 7: gone
  ! offset 7: given out, or may have been, and not in the log
  log LANEWAY-orders-1: 12 entries can be read
  archived: up to sequence 3, offsets 1 to 4, as listed by m/1/x, which was found in the object store
  newest snapshot: up to sequence 5, next offset 9, of 2026-11-28T01:02:03Z
  mark: written up to sequence 6, next offset 10; reserved up to sequence 70, offset 100
  gap that the log records: offsets 2 to 3
  newest batch in the object store: staged 2026-11-28T01:02:03Z
  --accept-loss continues it at offset 100, with 3 entries of the log; given up: offset 7, offsets 40 to 99
    history: offsets 1 to 29, as listed by m/1/x, because m/1/y cannot be read: it does not exist
    readable again: offsets 1 to 4, which retention or a truncation has dropped
    unreadable: offsets 31 to 32, whose objects are not in the object store; fetches get CORRUPT there
    left out: 3 records of the log, offsets 20 to 22, because the history has other records there; --export writes them
  copies of batches, staged or sent twice: 3
  batches that were refused: 4
  batches in the object store that the log does not refer to:
    LANE   FRONTEND EPOCH  TICKETS  BATCHES  RECORDS  SIZE     STAGED
    "a b"  3               1 to 2   2        5        2.0 KiB  2026-11-28T01:02:03Z to 2026-11-28T01:02:03Z

partition 2: DAMAGED
  ! it contradicts itself
  log LANEWAY-orders-2: 0 entries can be read
  --accept-loss is refused: offsets were used twice

object store: 1 object, 1.0 KiB
  ! object o/0000000000000001/x of 3 bytes cannot be read: torn
  ! and 2 more
`
	if out.String() != want {
		t.Errorf("the report is\n%s\nwant\n%s", out.String(), want)
	}
}

func TestAnUnknownFateIsNotCalledHarmless(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{{errors.New("refused"), true}, {fmt.Errorf("%w: no answer", repair.ErrOutcomeUnknown), false}} {
		advice := lookAgain("orders", c.err)
		if strings.Contains(advice, "nothing of it was given up") != c.want || !strings.Contains(advice, "laneway topic repair orders") {
			t.Errorf("after %v: %q", c.err, advice)
		}
	}
}

func TestDescribesTheHistoryOfAContinuedLog(t *testing.T) {
	h := &repair.History{Manifest: "m/1/x", EndOffset: 30}
	for _, c := range []struct {
		plan repair.Plan
		want string
	}{
		{repair.Plan{}, ""},
		{repair.Plan{Replacement: h}, "as listed by m/1/x, which was found in the object store"},
		{repair.Plan{LostManifest: "m/1/y", LostReason: "gone"}, "history: none, because m/1/y cannot be read, and the object store has no other manifest of the partition: gone"},
	} {
		if got := describeKept(&c.plan); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%+v is described as %q", c.plan, got)
		}
	}
}

func TestARefusalIsNotToBeRepeated(t *testing.T) {
	if advice := lookAgain("orders", fmt.Errorf("partition 3: %w", &repair.RefusedError{Reason: "offsets were used twice"})); !strings.Contains(advice, "nothing was changed") {
		t.Errorf("the advice is %q", advice)
	}
}

// A loss is accepted in no partition if it is refused in one of them.
func TestARefusalOfOnePartitionChangesNoOther(t *testing.T) {
	a, _, _ := clitest.App(t)
	report := repair.Report{Partitions: []repair.Partition{
		{Findings: []string{"gone"}, Plan: &repair.Plan{}}, {Partition: 1, Findings: []string{"gone"}, PlanError: "offsets were used twice"},
	}}
	// Without an inspector, an attempt to continue partition 0 panics.
	if err := (&Repair{}).accept(a, nil, &report); err == nil || !strings.Contains(err.Error(), "partition 1 cannot be continued: offsets were used twice") {
		t.Errorf("the error is %v", err)
	}
}
