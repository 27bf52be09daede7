package cli

import "testing"

func TestCount(t *testing.T) {
	for want, got := range map[string]string{
		"1 record":      Count(1, "record"),
		"1,500 records": Count(1500, "record"),
		"0 entries":     Count(0, "entry"),
		"1 entry":       Count(1, "entry"),
		"2 batches":     Count(2, "batch"),
		"3 bytes":       Count(3, "byte"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
