//go:build assertions

package ticketing

// assert panics when an invariant does not hold. It exists only in test builds.
func assert(holds bool, invariant string) {
	if !holds {
		panic("ticketing: invariant broken: " + invariant)
	}
}
