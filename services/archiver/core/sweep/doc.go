// Package sweep decides what a sweep of the object store deletes: objects with batches that are
// archived, those of deleted topics, and those that were stored in vain.
//
// A sweep goes by the watermarks that stand in the logs, and by no clock. The order of its steps
// is what makes it safe, also if it is slow, pauses for hours, or runs beside another sweep:
//
//  1. Read the records of earlier sweeps, and raise the generation.
//  2. Read the watermark of every log, from its leader. The lowest one is the bound.
//  3. List which logs there are. If one was not read, the bound does not hold for it.
//  4. Read the last entry of every log again. It names the manifest, which names everything that
//     is older than the bound and stays.
//  5. Compare the logs with the records of earlier sweeps, and store what this one goes by. If a log has
//     less than a record, read the logs once more after a pause before there is an alarm.
//  6. List the store, and delete what is below the bound and not named.
//
// What becomes true after step 2 is not below the bound, because owners accept no object that is
// older than their watermark. So an older view deletes less, never more.
//
// A comparison has only the parts of steps 1, 3, 4 and 5 that are about the records of earlier sweeps. It
// says nothing about logs that cannot be read.
//
// The package is pure: the time and the results of all requests come in with events.
package sweep
