// Package storecheck checks that an object store still has everything that was stored in it.
// It reads every object, and compares the objects with the logs that refer to them.
//
// It changes nothing in NATS and the store, and can run while services do: an object is
// complete before a log refers to it. Objects are read in pieces, and logs entry by entry.
// The check needs 8 bytes of memory per batch and 24 bytes per object.
package storecheck
