package process

import (
	"context"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/storeid"
)

// Store is how a process uses the object store.
type Store struct {
	Location cli.StoreLocation
	Adopt    bool  // take over a store that may be that of another cluster
	Reserve  int64 // bytes that uploads leave free on a local file system
}

// OpenStore opens the store for services and puts it into their configuration. The
// process closes it after the services have stopped, so it is opened before they
// start.
func (p *Process) OpenStore(use Store, config *Config) error {
	place, err := use.Location.Place()
	if err != nil {
		return err
	}
	store, err := objectstore.Open(string(use.Location), use.Reserve)
	if err != nil {
		return err
	}
	p.OnStop("the object store", func(context.Context) error { return store.Close() })
	config.Store = storeid.Candidate{Store: store, Place: place, Adopt: use.Adopt}
	return nil
}
