//go:build assertions

package delivery

// assert panics if an invariant does not hold. Only builds with the tag "assertions"
// have it; in others it is an empty function that the compiler removes.
func assert(holds bool, invariant string) {
	if !holds {
		panic("delivery: invariant broken: " + invariant)
	}
}
