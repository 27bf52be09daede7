// Package exhaustive takes simulated worlds through every schedule of a small scope: a few
// batches in one or two lanes with, for example, one process that crashes or is replaced, one
// message that is lost, and one that arrives twice.
//
// It searches depth first over choices: which message arrives next, which upload ends, what
// goes wrong. The name of a world covers everything that the world, its cores and the checks
// hold. Worlds with the same name have the same future, so each is explored once. An order is
// left out only if it provably makes no difference, such as when the append of the only
// replicator lands. Where nothing happens by itself any more, faults end, time passes, and
// everything must resolve.
//
// The search is fast because the cores are pure: what an event does in a state is computed
// once, by running the core, and then remembered; see memo. Some ten thousand runs of cores
// serve millions of worlds.
//
// Package world defines what exists in a world, and what the cores do there; package check has
// the invariants. Stagers, archivers, fetches, snapshots and marks are left out here, and so are faults
// that only package random draws.
package exhaustive
