// Package messages has the formats that Laneway's services share: the internal messages
// and their subjects, and the log entry, the snapshot and the mark of a partition, which
// are stored. The formats that clients see are in pkg/protocol.
//
// Internal messages are msgpack arrays, never maps, and start with a version
// and a kind. Decoding never panics and never copies a payload: byte slices of
// a decoded message alias the buffer that was decoded, so the buffer must not
// be reused while the message lives. Unknown versions and malformed input are
// errors that wrap protocol.ErrMalformed.
//
// The package decides nothing and does no I/O. Everything in it is safe for
// concurrent use.
package messages
