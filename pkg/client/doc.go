// Package client is the Go client of Laneway: it produces, consumes and
// administers, all over a NATS connection.
//
//   - A [Producer] gathers records into batches and keeps several in flight, in
//     order. It sends again what may have been lost, and Laneway recognises it: each
//     record is in the log once. A [Future] tells where. A producer with a name goes
//     on, after a restart, where the log ends.
//   - A [Consumer] reads partitions as an iterator. It asks again, from the next
//     offset, whatever breaks in between, and never skips an offset.
//   - [Admin] administers topics and shows what partitions remember of producers.
//
// Errors that Laneway answers with are [*protocol.Error], to be found by
// errors.As. The package owns no state of a topic and retains nothing.
package client
