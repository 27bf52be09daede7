// Package repair finds out what a partition has lost, and which of it the object
// store still holds: it compares the log with the newest snapshot and with the
// objects, which describe their batches themselves.
//
// It reads only, from NATS and from the store, and asks no service. What it
// concludes is in pure functions; it never decides that a loss is acceptable.
package repair
