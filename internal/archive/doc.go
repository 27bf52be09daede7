// Package archive knows how manifests, lists and segments are read from an object store: [Parts]
// says which parts of which objects to read, and decodes them. Those who read in different ways,
// because they are a frontend, an archiver or a command, have Parts of their own.
//
// All functions that take a store are for commands that repair and check. They are patient: they
// repeat requests that fail for a reason that may pass, and read content that is wrong again before
// it is damage. The package has no caches and changes nothing.
package archive
