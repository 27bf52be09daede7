// Package segment has the format of segments. A segment is an object with consecutive entries of
// the log of one partition, and with the frames of their batches. docs/storage.md describes it.
//
// A segment contains everything that is needed to read it: the frames in the order of the log,
// pages that describe the entries, a footer that lists the pages, and a trailer of fixed size
// that says where the footer is. A reader reads the end (ParseTail), then a page
// (Footer.ParsePage), and then the frames at the extents of the page's entries.
//
// The package is pure: it neither reads nor writes objects. Decoding never panics, and takes no
// more memory than the bytes justify.
package segment
