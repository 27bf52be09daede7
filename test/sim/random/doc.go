// Package random runs simulated worlds in virtual time, under faults that a seed draws. It
// looks for schedules that no test describes. The same seed gives the same run.
//
// This package draws times, latencies, faults and what clients do. Package world defines what
// exists in a world, and what the cores do there; package check has the invariants. Most of
// them are checked in every run. Two can be checked only where little else goes wrong, and
// have a mix of faults each: that one lane does not delay another (I5), and that heartbeats
// repair lost messages before a deadline (I3).
//
// The network is worse than NATS, which delivers no message twice: here some mixes do. One
// promise depends on this property of NATS. A request to stage that arrives twice may be refused
// once and staged once. Its producer then receives FAILED although the batch is added to the
// log. Package check makes an exception for that.
package random
