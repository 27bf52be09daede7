package history

import (
	"fmt"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Damage is the error for a part of a history that cannot be read: an object is missing, or is not
// what was stored. It wraps an error with the code CORRUPT.
type Damage struct {
	Key string // of the object
	// Next is where the damage ends: the next entry that may be readable, and the offset where the
	// damaged entries end.
	Next messages.Position
	err  *protocol.Error
}

// Error names the object, what it holds, and what is wrong with it.
func (d *Damage) Error() string { return d.err.Error() }

// Unwrap returns the error with the code CORRUPT.
func (d *Damage) Unwrap() error { return d.err }

// damaged returns the damage of an object that holds the offsets from one up to that of next.
func damaged(what, key string, from int64, next messages.Position, reason error) *Damage {
	next.Offset = max(next.Offset, from)
	return &Damage{key, next, protocol.Errorf(protocol.CodeCorrupt, "%s %q, which holds %s, cannot be read: %v", what, key, offsets(from, next.Offset), reason)}
}

// offsets describes the offsets from one up to, but not including, another.
func offsets(from, to int64) string {
	if from >= to {
		return "no offsets"
	}
	return fmt.Sprintf("the offsets %d to %d", from, to-1)
}
