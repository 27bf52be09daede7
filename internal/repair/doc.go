// Package repair finds out what a partition has lost, and which lost batches the object
// store still has. It compares the log with its newest snapshot, with its mark and with the
// objects, whose headers describe their batches.
//
// Inspection and export change nothing in NATS and the store, and need no running service.
// Accept continues a log without what it has lost; the operator decides whether that is
// acceptable. The conclusions are in pure types: logScan finds what a log lacks, matcher
// finds out which batches of the store the log explains, and continuation makes the entries
// of the new log.
//
// Example: a partition's log ends at offset 900, and its mark says that it was written up to
// 1,000 and that 2,024 is reserved. The inspection reports the offsets 900 to 2,023 as
// unknown. It finds batches in the store that the log does not refer to, among them those
// with the lost records, and some that were refused or staged twice. Export writes them,
// and Accept lets the partition continue at offset 2,024.
package repair
