package objectstore

import "context"

// Reads is how often content is read that does not match its checksum, before it counts as
// damaged. A bit may have flipped in transit. Each further read SHOULD use [WithNewConnection].
const Reads = 3

type newConnection struct{}

// WithNewConnection returns a context for a read that follows one with wrong content. A store
// that is reached over a network SHOULD NOT send this request over a connection that it has
// used before, because the fault may be on the way of that connection.
func WithNewConnection(ctx context.Context) context.Context {
	return context.WithValue(ctx, newConnection{}, true)
}

// WantsNewConnection reports whether the context is one of WithNewConnection.
func WantsNewConnection(ctx context.Context) bool { return ctx.Value(newConnection{}) != nil }
