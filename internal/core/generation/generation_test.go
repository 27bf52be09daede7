package generation

import (
	"math"
	"testing"
)

func TestWatermarkOfANewClusterIsAbove0(t *testing.T) {
	if got := Watermark(Above(0, 0)); got != 1 {
		t.Errorf("the first watermark is %d, want 1", got)
	}
	for _, generation := range []uint64{0, 1, 2} {
		if got := Watermark(generation); got != 0 {
			t.Errorf("generation %d has the watermark %d", generation, got)
		}
	}
}

// Once objects are written in a generation, no watermark may exceed theirs: their batches would be
// refused. So it begins above every object, and above what a log would still refuse.
func TestGenerationStartsAgainAboveAllThatWasUsed(t *testing.T) {
	for _, c := range []struct{ used, watermark, want uint64 }{
		{0, 0, 3}, {7, 0, 8}, {7, 5, 8}, {7, 6, 9}, {0, 1, 4}, {3, 90, 93},
	} {
		if got := Above(c.used, c.watermark); got != c.want {
			t.Errorf("objects of %d and a watermark of %d: %d, want %d", c.used, c.watermark, got, c.want)
		}
	}
}

func TestKeysNameTheirGeneration(t *testing.T) {
	const id = "/01ARZ3NDEKTSV4RRFFQ69G5FAV"
	for key, want := range map[string]uint64{
		"o/00000000000000ab" + id: 0xab, "s/0000000000000001" + id: 1, "m/ffffffffffffffff" + id: math.MaxUint64,
		"objects/0" + id: 0, "x/00000000000000ab" + id: 0, "o/00000000000000AB" + id: 0, "o/ab" + id: 0, "o/": 0, "o": 0, "": 0, "/": 0,
		"o/+0000000000000ab" + id: 0,
	} {
		if got := OfKey(key); got != want {
			t.Errorf("%q: %#x, want %#x", key, got, want)
		}
	}
}
