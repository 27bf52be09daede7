// Package store is the command laneway store, which checks and measures the object store.
//
// Verify, Usage and Export read the objects and the logs themselves, because they are for data that
// the services cannot read. They change nothing. Check writes only a probe, which it deletes again. Accept
// removes the records of sweeps.
package store

import (
	"errors"
	"syscall"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/storeid"
	"laneway.dev/internal/stores"
)

// Command is laneway store.
type Command struct {
	Accept Accept `cmd:"" help:"Accept that the logs and the store are not from the same time, after a restore of one of them."`
	Check  Check  `cmd:"" help:"Test whether Laneway can use a store: put, read, list and delete a probe."`
	Export Export `cmd:"" help:"Print the archived records of a topic without NATS, when only the store is left."`
	Usage  Usage  `cmd:"" help:"Show how many bytes each topic takes in the store, and how many wait for their deletion."`
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

// show prints what a command has found, as a JSON object or as text.
func show(a *cli.App, asJSON bool, found any, text string) (err error) {
	if asJSON {
		err = cli.WriteJSON(a.Stdout, found)
	} else {
		err = cli.Say(a.Stdout, "%s", text)
	}
	if errors.Is(err, syscall.EPIPE) {
		return nil // the reader, such as head, has read what it wanted
	}
	return err
}
