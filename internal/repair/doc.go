// Package repair finds out what a partition has lost, and which of it the object
// store still holds: it compares the log with the newest snapshot, with its mark and
// with the objects, which describe their batches themselves.
//
// Inspection and export change nothing in NATS and in the store, and ask no service.
// Accept continues a log without what it has lost; whether that is acceptable is for the
// operator to decide. What the package concludes is in pure functions.
package repair
