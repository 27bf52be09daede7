package fault

import (
	"testing"
	"time"
)

func FuzzParse(f *testing.F) {
	for _, spec := range []string{
		"stage.delay=uniform(0,200ms)", "stage.delay=50ms", "stage.fail=0.01", "store.bandwidth=20MB/s",
		"stage.delay=uniform(-1ns,9223372036854775807ns)", "stage.fail=NaN", "store.bandwidth=18446744073709551615B/s", "=",
	} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		faults, err := Parse([]string{spec}, 1)
		if (err == nil) != (faults != nil) {
			t.Fatalf("%v, %v", faults, err)
		}
		if err != nil {
			return
		}
		faults.Fail()
		if d := faults.Delay(); d < 0 {
			t.Fatalf("delay %v", d)
		}
		if d := faults.Bandwidth(time.Unix(0, 0), 1<<20); d < 0 {
			t.Fatalf("wait %v for the bandwidth", d)
		}
	})
}
