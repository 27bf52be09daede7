package bench

import (
	"os"
	"os/exec"
	"testing"
)

func TestUsageIsReadFromStat(t *testing.T) {
	const line = "4711 (a (odd) name) S 1 2 3 0 -1 4194560 100 200 0 0 250 50 7 8 20 0 12 0 5555 123456789 1000 18446744073709551615 1 1\n"
	got, err := parseStat(line, 4096)
	if want := (Usage{CPUSeconds: 3, MemoryBytes: 4096000}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "1 (a) S 1 2", "4711 (a) S 1 2 3 0 -1 4194560 100 200 0 0 x 50 7 8 20 0 12 0 5555 123456789 1000 1"} {
		if _, err := parseStat(bad, 4096); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
	if own, err := processUsage(os.Getpid()); err != nil || own.MemoryBytes < 1<<20 {
		t.Errorf("this process: %+v, %v", own, err)
	}
}

func TestUsageBeforeAMeasurementDoesNotCount(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	s := &servers{processes: []*process{{command: &exec.Cmd{Process: self}}}}
	usage := func() Usage {
		used, err := s.usage()
		if err != nil {
			t.Fatal(err)
		}
		return *used
	}
	for usage().CPUSeconds == 0 { // reading takes processor time
	}
	before := usage()
	round, err := s.meter(t.Context(), func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	// The difference of two binary fractions is not exact.
	if most := usage().CPUSeconds - before.CPUSeconds + 1e-6; round.Servers.CPUSeconds > most || round.Servers.MemoryBytes <= 0 {
		t.Errorf("%+v, want at most %v s", round.Servers, most)
	}
}
