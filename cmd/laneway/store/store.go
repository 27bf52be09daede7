// Package store is the command laneway store, which checks the object store.
//
// It reads the objects and the logs itself, because it is for data that the services
// cannot read. It changes nothing.
package store

// Command is laneway store.
type Command struct {
	Verify Verify `cmd:"" help:"Read every object, and compare the objects with the logs that refer to them."`
}
