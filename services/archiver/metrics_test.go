package archiver

import (
	"slices"
	"testing"

	"laneway.dev/services/archiver/sweeper"
)

// TestMetricsHaveNamesOfTheirOwn compares the metrics of a process, of which one of two with the same name
// is lost.
func TestMetricsHaveNamesOfTheirOwn(t *testing.T) {
	described := make(map[string]string)
	for _, r := range slices.Concat(readings, sweeper.Readings) {
		if other, ok := described[r.Name]; ok && other != r.Description {
			t.Errorf("%s is %q and %q", r.Name, other, r.Description)
		}
		described[r.Name] = r.Description
	}
}
