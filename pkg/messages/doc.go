// Package messages is the contract between Laneway's services and with its
// clients: the internal wire messages, the log entry, the batch frame, the
// subjects, the headers, the JSON shapes of the public API and the catalogue of
// errors.
//
// Internal messages are msgpack arrays, never maps, and start with a version
// and a kind. Decoding never panics and never copies a payload: byte slices of
// a decoded message alias the buffer that was decoded, so the buffer must not
// be reused while the message lives. Unknown versions and malformed input are
// errors.
//
// The package decides nothing and does no I/O. Everything in it is safe for
// concurrent use, except for the builders and readers, which belong to one
// goroutine.
package messages
