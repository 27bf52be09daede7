// Package sim runs a partition of Laneway in one goroutine and virtual time, under
// faults that a seed draws: the very cores of frontend, stager, sequencer and
// replicator that run in production, and the window of the Go client. It looks for
// the schedule that nobody thought of.
//
// What is modelled is only what lies between the cores: the network, the object
// store, the log of JetStream, the registry of epochs, and processes that die,
// hang and are replaced. There is no second implementation of the protocol. Every
// message passes through its wire form. The same seed gives the same run.
//
// After every step checks compares what happened with the invariants, whose names a
// violation begins with. Most are checked in every run. That one lane does not delay
// another (I5), and that lost messages are repaired before a deadline (I3), can only
// be seen where nothing else goes wrong; two of the mixes of faults are for that.
//
// The network does worse than NATS, which doubles nothing: here most mixes deliver
// some messages twice. One promise rests on NATS there. A request to stage that
// arrives twice may be refused once and staged once, and its producer is told FAILED
// although the batch comes into the log; checks makes an exception for it.
package sim
