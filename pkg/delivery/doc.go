// Package delivery decides what the idempotent producer of one partition sends
// next, and when: each batch until it is acknowledged, in order, so that the log
// has every record exactly once.
//
// A [Window] is told what happens and asked what to do. It owns the order and
// the retries of the batches that it was given. It never sends, waits or looks
// at a clock itself: time and random numbers are passed in, so the code that
// runs in a client runs in a simulator as well.
//
// The rules, which go together with those of the replicator:
//
//   - The batches have consecutive sequences. A batch keeps its records and its
//     first sequence however often it is sent.
//   - Nothing is sent beyond a span of [Span] batches that begins with the lowest
//     one without an OK. A partition remembers as many, so it recognises whatever
//     is sent again, even if only one OK was lost.
//   - Each attempt says what the first unacked sequence is. A partition that does
//     not know the producer takes that batch and no other, so a batch that was
//     lost cannot be overtaken for good.
//   - After any failure that may be temporary nothing is sent until every attempt
//     in flight has been answered, has timed out or is lost. Then, after a pause,
//     all batches without an OK are sent again in order.
package delivery
