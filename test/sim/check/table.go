package check

import "maps"

// table is a map of a State. A State and its clones share their maps, so a change first
// copies the map that it concerns.
type table[K comparable, V any] map[K]V

func (t *table[K, V]) put(s *State, k K, v V) {
	t.own(s)
	(*t)[k] = v
}

func (t *table[K, V]) drop(s *State, k K) {
	if _, there := (*t)[k]; there {
		t.own(s)
		delete(*t, k)
	}
}

func (t *table[K, V]) own(s *State) {
	if s.cloned {
		*t = maps.Clone(*t)
	}
}
