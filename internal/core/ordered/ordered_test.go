package ordered

import (
	"slices"
	"testing"
)

func TestKeysAreSorted(t *testing.T) {
	if got := Keys(map[string]int{"b": 1, "c": 2, "a": 3}); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("the keys are %q", got)
	}
}

func TestAnEmptyMapAllocatesNothing(t *testing.T) {
	empty := map[uint64]bool{}
	if n := testing.AllocsPerRun(100, func() { Keys(empty) }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}
