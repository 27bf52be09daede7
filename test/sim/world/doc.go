// Package world is a simulated deployment of Laneway: the cores of frontend, stager,
// sequencer and replicator that run in production, the window of the Go client, and what
// lies between them: the object store, the logs of JetStream, the registry of epochs,
// snapshots and marks, and processes that die, hang and are replaced. It holds no second
// implementation of the protocol. Every message passes through its wire form.
//
// A [World] does what happens next, and decides neither what that is nor when. It reports to
// its [Scheduler] what is under way, such as a message that was sent or an append. The
// scheduler completes it later, or never, by calling a method of the world. Nothing in a
// world is random, and the only clock is World.Now. Three schedulers exist: one draws times and
// faults from a seed, one explores every order within small bounds, and one follows a script.
//
// After each step the world reports what it has seen to package check.
package world
