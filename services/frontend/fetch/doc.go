// Package fetch is the read path of the frontend. It answers fetches of the open partitions:
// recent records from memory, and others from the partition's log and from range reads of
// the objects. All bytes of an object are checked against their CRC before they are sent.
//
// A fetch is a [protocol.FetchRequest], sent with a reply subject to the fetch
// subject of a partition. It is answered with messages and, at the end, one
// status.
//
//   - A message is one record with its headers and Laneway-Topic, -Partition, -Offset and
//     -Time. If the request asks for frames, a message is one batch frame with
//     Laneway-Records and the offset of its first record, which may be below the requested
//     offset. Short plain batches that were committed at the same time share a frame.
//   - A status has the header Status, no Laneway-Offset and no payload. It has
//     Laneway-Next-Offset and Laneway-End-Offset as far as they are known. For an error,
//     Status is its class and Laneway-Error its name in the catalogue. Laneway-Gap-From and
//     -To give a range of offsets without records. The fetch continues after a gap, and ends
//     at damage.
//
// A fetch without follow ends where the log ended at the time of the request. If the log had
// no records for the fetch then, and the request waits, the fetch ends where the log ends when
// the first record arrives.
//
// A fetch without a window ends before it exceeds max_bytes, but not before its first
// message, and after 65,536 messages. With a window, each message has a reply subject on
// which the consumer grants credit: the number of payload bytes that it has processed since
// the fetch started. A batch is sent while any credit is left, so a batch may exceed the
// credit. A fetch sends heartbeats while it is idle or out of credit, and after 16,384
// messages without an answer. The consumer answers a heartbeat with its current number.
//
// The package is a shell: it receives requests and credits, reads the log and the store,
// sends messages, and owns timers and caches. The decisions, what is sent next and why a
// fetch ends, are in [laneway.dev/services/frontend/core/fetch]. It never writes to the log
// or the store.
package fetch
