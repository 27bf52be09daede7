// Package client is the Go client of Laneway. It produces, consumes and
// administers topics over a NATS connection.
//
//   - A [Producer] gathers records into batches and keeps several batches in
//     flight, in order. It retries batches that may have been lost. Laneway
//     recognizes batches that it already has, so each acknowledged record is in the
//     log exactly once. It may compress batches. A [Future] reports the offset. After
//     a restart, a named producer continues after the last of its records in the log.
//   - A [Consumer] reads partitions as an iterator. If a connection or a frontend
//     is lost, it continues at the next offset, and never skips or repeats one.
//   - An [Admin] creates, lists and deletes topics, and lists the producers that
//     partitions remember.
//
// Errors that Laneway returns are of type [*protocol.Error]; find them with
// errors.As. The error of a producer that has failed is a [*ProduceError], which
// names the records that are in the log.
//
// The package stores nothing: the state of topics and producers is in Laneway.
package client
