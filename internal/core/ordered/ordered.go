// Package ordered lists the keys of maps in a fixed order. The effects of a core must not depend on the
// order of a map.
package ordered

import (
	"cmp"
	"slices"
)

// Keys returns the sorted keys of a map. It allocates nothing for an empty one: cores ask in each step,
// and most of the time there is nothing.
func Keys[K cmp.Ordered, V any](m map[K]V) []K {
	if len(m) == 0 {
		return nil
	}
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
