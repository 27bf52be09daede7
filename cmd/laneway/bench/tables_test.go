package bench

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// used gives all rounds of a report the usage of servers, by contender.
func used(r *Report, usage ...Usage) *Report {
	for i := range r.Contenders {
		for j := range r.Contenders[i].Rounds {
			one := usage[i]
			r.Contenders[i].Rounds[j].Servers = &one
		}
	}
	return r
}

func printed(t *testing.T, r *Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(out.String()), " ")
}

func TestReportPrintsWhatServersTake(t *testing.T) {
	// A round has 10 records and takes a second.
	usage := []Usage{{CPUSeconds: 0.003, MemoryBytes: 64 << 20}, {CPUSeconds: 0.001, MemoryBytes: 32 << 20}, {MemoryBytes: 32 << 20}}
	for work, want := range map[Work][]string{
		Publish: {
			"processor time, µs a record MEDIAN LOWEST HIGHEST LANEWAY TAKES", "laneway 300 300 300 jetstream", "100 100 100 3.00× 3.00× to 3.00×",
			"0 0 0 – –", "memory of the servers, MiB", "laneway 64.00", "32.00 32.00 32.00 2.00×",
		},
		Idle:    {"KiB for each", "processor time, % of a core", "laneway 0.30", "0.10 0.10 0.10 3.00×"},
		Create:  {"ms to create", "memory of the servers, MiB"},
		Restart: {"ms to restart", "memory of the servers, MiB"},
	} {
		text := printed(t, used(measured(t, work, []float64{2}, []float64{1}, []float64{4}), usage...))
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q is missing in %s", work, w, text)
			}
		}
	}
	r := measured(t, Publish, []float64{2}, []float64{1}, []float64{4})
	if text := printed(t, r); strings.Contains(text, "processor time") || strings.Contains(text, "memory") {
		t.Errorf("what is not known is printed: %s", text)
	}
}

func TestReportSaysOverWhatRecordsAreSpread(t *testing.T) {
	for want, s := range map[string]Settings{
		"":                          {Partitions: 1},
		"256 partitions or streams": {Partitions: 256},
		"1 topic with a subject each, or streams": {Topics: 1, Partitions: 1},
		"3 topics of 4 partitions, or 12 streams": {Topics: 3, Partitions: 4},
	} {
		if got := s.spread(); got != want {
			t.Errorf("%+v: %q, want %q", s, got, want)
		}
	}
}

func TestReportNamesTheRate(t *testing.T) {
	for want, interval := range map[string]time.Duration{
		" 1,500 records a second": time.Second / 1500, " 1 record a second": time.Second, " 166.67 records a second": time.Minute / 10_000,
	} {
		p := plan(Latency)
		p.Interval = interval
		if got := newReport(&p, nil).summary(); !strings.Contains(got, want) {
			t.Errorf("%q is missing in %s", want, got)
		}
	}
}

func TestGrowthOfMemoryIsAboveZero(t *testing.T) {
	if got := growth(1<<20, 3<<20, 4); got != 512 {
		t.Errorf("2 MiB for 4 targets are %v KiB for each", got)
	}
	if got := growth(3<<20, 1<<20, 4); got != 1 {
		t.Errorf("memory that was given back is %v KiB for each", got)
	}
}
