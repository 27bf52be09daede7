// Package exhaustive takes simulated worlds through every schedule of a small scope: a
// few batches in two lanes, with one process that crashes or is replaced, one
// message that is lost and one that comes twice.
//
// It searches depth first over choices: which message arrives next, which upload
// ends, what goes wrong. Worlds with the same name, which covers everything that they,
// their cores and the checks hold, have the same future and are looked at once. Nothing else
// is left out: all orders are tried, even those with the same result. Where nothing is left
// to choose, faults end, time passes, and everything must resolve.
//
// What makes it fast is that the cores are pure: what one does in a state when an event
// comes is found out once, by running it, and remembered; see memo. Some ten
// thousand runs of cores serve millions of worlds.
//
// What exists in a world, and what the cores do there, is in package world; the invariants
// are in package check. Stagers, snapshots and marks are left out here, and so are faults that
// only package random draws.
package exhaustive
