// Package fetch is the read path of the frontend: it answers fetches of the
// partitions that were opened, from memory for what was committed recently, and
// otherwise from the partition's log and range reads of the objects. Every byte
// that comes from an object is checked against its CRC before it is sent.
//
// A fetch is a [protocol.FetchRequest], sent with a reply subject to the fetch
// subject of a partition. It is answered with messages and, at the end, one
// status.
//
//   - A message is one record with its headers and Laneway-Topic, -Partition,
//     -Offset and -Time. Or, if frames are asked for, it is one batch frame, with
//     the offset of its first record, which may lie before the offset asked for, and
//     Laneway-Records.
//   - A status has no Laneway-Offset and no payload but the header Status, and
//     Laneway-Next-Offset and Laneway-End-Offset as far as they are known. The
//     status of an error is its class, Laneway-Error its name in the catalogue.
//     Laneway-Gap-From and -To name offsets without records, in the status of a gap,
//     behind which the fetch continues, and in that of damage, which ends it.
//
// Without follow a fetch ends where the log ended when it was asked for, or, if
// nothing was there and it waits, where the log ended when something came.
//
// Without a window a fetch ends before it exceeds max_bytes, but not before its
// first message, and after 65,536 messages. With a window, every message carries
// a reply subject on which the consumer grants credit: the number of payload
// bytes that it has taken. A batch is sent while any credit is left, so a batch
// may exceed it. A fetch that idles, that is out of credit, or that has sent
// 16,384 messages without an answer from the consumer sends heartbeats, which the
// consumer answers with a credit of 0.
//
// The package is a shell: it receives requests and credits, reads the log and the
// store, sends, keeps time and the caches. What is sent next and why a fetch ends is
// decided in [laneway.dev/services/frontend/core/fetch]. It never writes to the log or
// the store.
package fetch
