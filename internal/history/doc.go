// Package history reads the archived part of a partition's log: manifests, and the entries in
// segments.
//
// A messages.History, which the last entry of a log has, names the manifest. The manifest lists
// the segments, the oldest ones by lists, which are objects of their own. The end of a segment
// has a footer, which lists pages, and a page has entries. Payloads are read by the extents of
// the entries, as those of entries in the stream are.
//
//	History ─▶ manifest ─▶ list ─▶ segment: footer ─▶ page ─▶ entries
//
// All of these are immutable, so a [Reader] keeps them in a cache without ever asking the store
// again.
//
// The package never writes, and never decides which history is true: the caller names one that
// stands in the log. A history that was replaced may have objects that are deleted, so a caller
// that gets a [Damage] SHOULD look up the log again before it believes it.
//
// # Errors
//
// Content that does not match its checksum, or is not there, is read objectstore.Reads times
// before it is a *Damage. Any other error may pass: the store does not answer, or the content was
// wrong in another way in each read. The caller decides whether to repeat the call. A format of a
// later version is an error that wraps layout.ErrVersion.
package history
