// Package store is the command laneway store, which checks the object store.
//
// Verify reads the objects and the logs itself, because it is for data that the services
// cannot read. It changes nothing. Check writes only a probe, which it deletes again.
package store

import (
	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/storeid"
	"laneway.dev/internal/stores"
)

// Command is laneway store.
type Command struct {
	Check  Check  `cmd:"" help:"Test whether Laneway can use a store: put, read, list and delete a probe."`
	Verify Verify `cmd:"" help:"Read every object, and compare the objects with the logs that refer to them."`
}

// open opens a store that exists. The caller closes it.
func open(a *cli.App, location cli.StoreLocation) (storeid.Candidate, error) {
	place, err := location.Place()
	if err != nil {
		return storeid.Candidate{}, err
	}
	store, err := stores.OpenExisting(a.Ctx, string(location))
	return storeid.Candidate{Store: store, Place: place}, err
}
