// Package delivery decides what the idempotent producer of one partition sends
// next, and when, so that the log has every record exactly once and in order.
//
// The owner of a [Window] reports events to it (a batch to send, an answer, a lost
// connection, the time) and asks it what to do. The window never sends, waits or
// reads a clock itself: time and random numbers are arguments. The same code
// therefore runs in a client and in a simulator.
//
// The rules go together with those of the replicator:
//
//   - The batches have consecutive producer sequences. A batch keeps its records and
//     its producer sequence in every attempt.
//   - Nothing is sent beyond a span of [Span] batches that starts with the lowest
//     batch without an OK. A partition remembers that many batches, so it recognizes
//     every batch that is sent again. With a larger span it might not, as soon as one
//     OK is lost.
//   - Each attempt carries first unacked, the producer sequence of the lowest batch
//     without an OK. A partition that does not know the producer accepts that batch
//     and no other, so a batch that was lost cannot be overtaken for good.
//   - After a failure that may be temporary, nothing is sent until every attempt in
//     flight has been answered, has timed out or is lost. After a pause, all batches
//     without an OK are sent again in order. Sending earlier would mix new attempts
//     with old ones that may still arrive.
//
// An example with batches a, b and c, of ten records each:
//
//	send a (sequence 0), b (10), c (20)      each with first unacked 0
//	a is refused with OVERLOADED             hold: b and c are in flight
//	b and c are refused as out of order      nothing is in flight: pause
//	send a (0), b (10), c (20) again
package delivery
