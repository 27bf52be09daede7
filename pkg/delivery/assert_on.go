//go:build assertions

package delivery

// assert panics when an invariant does not hold. It exists only in test builds.
func assert(holds bool, invariant string) {
	if !holds {
		panic("delivery: invariant broken: " + invariant)
	}
}
