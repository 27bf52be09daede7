// Package client is the Go client of Laneway. It produces, consumes and
// administers topics over a NATS connection.
//
//   - A [Producer] gathers records into batches and keeps several batches in
//     flight, in order. It sends again what may have been lost; Laneway recognizes
//     what it has already, so each record is in the log once. A [Future] reports
//     the offset. A producer with a name continues after a restart where the log
//     ends.
//   - A [Consumer] reads partitions as an iterator. If a connection or a frontend
//     is lost, it continues at the next offset, and never skips or repeats one.
//   - An [Admin] creates, lists and deletes topics, and lists the producers that
//     partitions remember.
//
// Errors that Laneway answers are of type [*protocol.Error]; find them with
// errors.As. The error of a producer that has failed is a [*ProduceError], which
// says which records are in the log.
//
// The package stores nothing: the state of topics and producers is in Laneway.
package client
