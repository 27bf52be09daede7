// Package archive reads the histories of partitions from an object store, for commands that
// repair and check: manifests, lists and segments. It is patient: it repeats requests that fail
// for a reason that may pass, and reads content that is wrong again before it is damage. It has
// no caches and changes nothing.
package archive
