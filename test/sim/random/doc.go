// Package random runs simulated worlds in virtual time, under faults that a seed draws. It
// looks for schedules that no test describes. The same seed gives the same run.
//
// This package draws times, latencies, faults and what clients do. What exists in a world,
// and what the cores do there, is in package world; the invariants are in package check. Most
// are checked in every run. That one lane does not delay another (I5), and that lost messages
// are repaired before a deadline (I3), can only be seen where nothing else goes wrong; two
// of the mixes of faults are for that.
//
// The network is worse than NATS, which doubles nothing: here most mixes deliver
// some messages twice. One promise rests on NATS there. A request to stage that
// arrives twice may be refused once and staged once, and its producer receives FAILED
// although the batch is added to the log; package check makes an exception for it.
package random
