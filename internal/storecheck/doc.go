// Package storecheck checks that an object store holds what was stored in it: it reads
// every object, and compares the objects with the logs that refer to them.
//
// It changes nothing, in NATS and in the store, and works while services run: an object
// is complete before a log refers to it. Objects are read in pieces and logs entry by
// entry. What is kept in memory are 8 bytes per batch, 24 bytes per object, and a limited
// number of damaged objects.
package storecheck
