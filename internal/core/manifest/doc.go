// Package manifest has the format of manifests. A manifest is an object that lists the segments
// of one partition, in the order of their entries. The oldest segments are in lists, which are
// objects as well; a manifest names them like segments. docs/storage.md describes both.
//
// Manifests and lists never change. To add a segment, Append makes the next manifest. Its key is
// true only once it stands in the log of the partition.
//
// The package is pure: it neither reads nor writes objects. Decoding never panics, and takes no
// more memory than the bytes justify.
package manifest
