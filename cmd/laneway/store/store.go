// Package store is the command laneway store, which checks the object store.
//
// Verify reads the objects and the logs itself, because it is for data that the services
// cannot read. It changes nothing. Check writes only a probe, which it deletes again.
package store

// Command is laneway store.
type Command struct {
	Check  Check  `cmd:"" help:"Try whether Laneway can use a store: put, read, list and delete a probe."`
	Verify Verify `cmd:"" help:"Read every object, and compare the objects with the logs that refer to them."`
}
