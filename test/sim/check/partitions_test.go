package check

import (
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
)

// staged returns an entry with a batch in an object.
func staged(sequence uint64, by string, x messages.Extent) Committed {
	e := messages.Entry{Epoch: 7, Batches: []messages.Placeholder{{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "i:1", Number: sequence}, Records: 1}, Extent: x}}}
	return Committed{Entry: &messages.LoggedEntry{Sequence: sequence, Entry: e}, By: by}
}

// A sweep may leave what the log of any partition leads to, and nothing else.
func TestSweepIsComparedWithAllLogs(t *testing.T) {
	now := time.Unix(1000, 0)
	x := messages.Extent{Key: "o/0000000000000001/1"}
	batch := Batch{Records: 1}
	for _, needed := range []bool{true, false} {
		all := NewPartitions(2, &Limits{Heartbeat: time.Second, Deadline: time.Minute, LaneExpiry: time.Minute}, &Counts{}, time.Unix(0, 0))
		see := func(of int, what Sighting) {
			t.Helper()
			if err := all.See(now, of, what); err != nil {
				t.Fatal(err)
			}
		}
		see(All, Put{Key: x.Key})
		if needed {
			see(1, Issued{Ticket: Ticket{LaneKey{Epoch: 7, Lane: "i:1"}, 2}, Batch: batch, Attempt: 1})
			see(1, Stored{Extent: x, Batch: batch})
			see(1, staged(2, "", x))
		}
		err := all.See(now, All, Swept{Began: now.Add(time.Second), Bound: 2})
		if needed != (err == nil) {
			t.Errorf("a log needs the object: %t; the sweep that leaves it: %v", needed, err)
		}
	}
}

func TestViolationNamesThePartition(t *testing.T) {
	answered := Answered{By: "frontend-1", Ticket: Ticket{LaneKey{Epoch: 7, Lane: "i:1"}, 1}}
	for n, want := range map[int]string{1: "I3: ", 2: "partition 0: I3: "} {
		all := NewPartitions(n, &Limits{}, &Counts{}, time.Unix(0, 0))
		if err := all.See(time.Unix(1000, 0), 0, answered); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("of %d partitions: %v, want %q", n, err, want)
		}
	}
}
