package fault

import (
	"strings"
	"testing"
	"time"
)

func TestNoSettingsInjectNothing(t *testing.T) {
	parsed, err := Parse(nil, 1)
	if err != nil || parsed != nil {
		t.Fatalf("Parse(nil) = %v, %v; want nil, nil", parsed, err)
	}
	for name, faults := range map[string]*Faults{"nil": parsed, "zero": {}} {
		if delay := faults.Delay(); delay != 0 {
			t.Errorf("%s: Delay() = %v, want 0", name, delay)
		}
		if faults.Fail() {
			t.Errorf("%s: Fail() = true, want false", name)
		}
		if wait := faults.Bandwidth(time.Now(), 1<<40); wait != 0 {
			t.Errorf("%s: Bandwidth() = %v, want 0", name, wait)
		}
	}
}

func TestNoFaultsCostNothing(t *testing.T) {
	var faults *Faults
	now := time.Now()
	allocations := testing.AllocsPerRun(100, func() {
		_ = faults.Delay()
		_ = faults.Fail()
		_ = faults.Bandwidth(now, 4<<20)
	})
	if allocations != 0 {
		t.Errorf("%v allocations, want none", allocations)
	}
}

func TestParseReadsDelays(t *testing.T) {
	for value, want := range map[string][2]time.Duration{
		"50ms":                  {50 * time.Millisecond, 50 * time.Millisecond},
		"0":                     {},
		"uniform(0,200ms)":      {0, 200 * time.Millisecond},
		"uniform(10ms, 1s)":     {10 * time.Millisecond, time.Second},
		"uniform( 5ms , 5ms )":  {5 * time.Millisecond, 5 * time.Millisecond},
		" uniform(1h,1h30m) ":   {time.Hour, 90 * time.Minute},
		"uniform(0,2562047h)":   {0, 2562047 * time.Hour},
		"uniform(1.5ms,2000µs)": {1500 * time.Microsecond, 2 * time.Millisecond},
	} {
		faults, err := Parse([]string{"stage.delay=" + value}, 1)
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		if got := [2]time.Duration{faults.delay.low, faults.delay.high}; got != want {
			t.Errorf("%q: delay is %v, want %v", value, got, want)
		}
	}
}

func TestParseReadsBandwidths(t *testing.T) {
	for value, want := range map[string]float64{
		"20MB/s":    20e6,
		"20 MB/s":   20e6,
		"512KiB/s":  512 << 10,
		"0.5GB/s":   5e8,
		"1000000/s": 1e6,
	} {
		faults, err := Parse([]string{"store.bandwidth=" + value}, 1)
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		if faults.bandwidth.rate != want {
			t.Errorf("%q: rate is %v, want %v", value, faults.bandwidth.rate, want)
		}
	}
}

func TestParseRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for spec, want := range map[string]string{
		"stage.dely=5ms":                  `unknown name "stage.dely"; known are stage.delay, stage.fail, store.bandwidth`,
		"":                                "known are",
		"stage.delay":                     "looks like",
		"stage.delay=5":                   "looks like",
		"stage.delay=-5ms":                "cannot be",
		"stage.delay=uniform(0)":          "uniform(0,200ms)",
		"stage.delay=uniform(0,200ms":     "uniform(0,200ms)",
		"stage.delay=uniform(0,1ms,2ms)":  "looks like",
		"stage.delay=uniform(5ms,1ms)":    "cannot be",
		"stage.delay=uniform(-1ms,1ms)":   "cannot be",
		"stage.delay=normal(0,1ms)":       "looks like",
		"stage.fail=":                     "from 0 to 1",
		"stage.fail=-0.1":                 "from 0 to 1",
		"stage.fail=1.01":                 "from 0 to 1",
		"stage.fail=NaN":                  "from 0 to 1",
		"stage.fail=5%":                   "from 0 to 1",
		"store.bandwidth=20MB":            "per second",
		"store.bandwidth=0/s":             "per second",
		"store.bandwidth=-1MB/s":          "per second",
		"store.bandwidth=fast/s":          "per second",
		"store.bandwidth=99999999999EB/s": "per second",
	} {
		faults, err := Parse([]string{spec}, 1)
		if err == nil {
			t.Errorf("%q was accepted as %+v", spec, faults)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error is %q, want it to say %q", spec, err, want)
		}
	}
}

func TestParseRefusesASettingGivenTwice(t *testing.T) {
	_, err := Parse([]string{"stage.fail=0.1", "stage.delay=1ms", "stage.fail=0.2"}, 1)
	if err == nil || !strings.Contains(err.Error(), "given twice") {
		t.Errorf("error is %v, want it to say that stage.fail is given twice", err)
	}
}
