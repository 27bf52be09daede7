// Package exhaustive runs the production cores of frontend, sequencer and
// replicator, and the client's window, through every schedule of a small scope: a
// few batches in two lanes, with one process that crashes or is replaced, one
// message that is lost and one that comes twice.
//
// It searches depth first over choices: which message arrives next, which upload
// ends, what goes wrong. Worlds with the same name, which covers everything that they
// and the cores hold, have the same future and are looked at once. Nothing else is left
// out: all orders are tried, those too that come to the same. Where nothing is left to
// choose, faults end, time passes, and everything must resolve.
//
// What makes it fast is that the cores are pure: what one does in a state when it is
// told something is found out once, by running it, and remembered; see memo. Some ten
// thousand runs of cores serve millions of worlds.
//
// It holds no second implementation of the protocol: what it knows of tickets is
// what the checks compare.
package exhaustive
