// Package exhaustive runs the production cores of frontend, sequencer and
// replicator, and the client's window, through every schedule of a small scope: a
// few batches in two lanes, with one process that crashes or is replaced, one lost
// and one doubled message.
//
// It searches depth first over choices: which message arrives next, which upload
// ends, what goes wrong. A world cannot be copied, so it goes back by running the
// choices up to there again from the beginning. Worlds with the same fingerprint,
// which covers everything that the cores hold, have the same future and are looked
// at once. Where nothing is left to choose, faults end, time passes, and everything
// must resolve.
//
// It holds no second implementation of the protocol: what it knows of tickets is
// what the checks compare.
package exhaustive
