package random

import (
	"bytes"
	"strings"
	"testing"
)

func TestTraceIsInWords(t *testing.T) {
	for seed := range uint64(len(Mixes)) {
		trace := &Trace{}
		Run(Seeded(seed), trace)
		for line := range strings.Lines(trace.String()) {
			if strings.Contains(line, "messages.") || strings.ContainsAny(line, "{}") || strings.Contains(line, "%!") {
				t.Fatalf("seed %d: %s", seed, line)
			}
		}
	}
}

func TestTraceStartsWithWhatIsRun(t *testing.T) {
	trace := &Trace{}
	Run(Seeded(3), trace)
	for _, want := range []string{"seed 3, mix \"network\"\n", "make sim SEED=3 TRACE=1\n", "client-0, lane p:plain-0: no producer id"} {
		if !strings.Contains(trace.head, want) {
			t.Errorf("no %q in\n%s", want, trace.head)
		}
	}
}

func TestTraceHasEveryCountedFault(t *testing.T) {
	trace := &Trace{}
	c := Run(Seeded(0), trace).Counts
	text := trace.String()
	for fault, n := range map[string]int{
		"! lost: ": c.Lost, "! comes twice: ": c.Doubled, "was not synced: ": c.UnsyncedLost, " has a new leader; ": c.LeaderChanges,
		"has no room for ": c.AdmissionRefused, " hangs for ": c.Hangs, "will be lost\n": c.AcksLost, "is damaged\n": c.SnapshotsDamaged,
	} {
		if got := strings.Count(text, fault); got != n {
			t.Errorf("%q is in the trace %d times, and counted %d times", fault, got, n)
		}
	}
	if c.Faults() == 0 {
		t.Error("there was no fault")
	}
}

func TestTraceAndPictureNameThePartition(t *testing.T) {
	trace := &Trace{}
	config := Seeded(0)
	config.Partitions = 2
	Run(config, trace)
	for _, want := range []string{"; it writes to orders/1\n", " gets orders/1: Stage, ", " orders/0: entry "} {
		if !strings.Contains(trace.String(), want) {
			t.Errorf("no %q in the trace", want)
		}
	}
	if picture := trace.SVG(); !bytes.Contains(picture, []byte(">orders/1: i:2</text>")) || !bytes.Contains(picture, []byte("<title>orders/0: lane ")) {
		t.Error("the picture does not name the partitions")
	}
}
