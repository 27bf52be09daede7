// Package protocol is the contract between Laneway and its clients, in whatever language
// they are written: public subjects, headers, the batch frame, the JSON shapes of the
// topic, producer and fetch APIs, and the catalogue of errors. docs/protocol.md describes
// how they are used.
//
// It also has the rule for the headers of a record, which clients and the frontend share.
// The package keeps no state and does no I/O. Everything in it is safe for concurrent
// use, except FrameBuilder and FrameReader, which belong to one goroutine.
package protocol
