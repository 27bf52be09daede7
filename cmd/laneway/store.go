package main

import (
	"context"
	"os"

	"laneway.dev/cmd/laneway/roles"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/storeid"
)

// storeUse is how a process uses the object store.
type storeUse struct {
	location string
	adopt    bool
	reserve  int64 // what uploads leave free in it, in bytes
}

// open opens the store for the services; the process closes it.
func (u *storeUse) open(p *process, config *roles.Config) error {
	at, err := place(u.location)
	if err != nil {
		return err
	}
	store, err := objectstore.Open(u.location, u.reserve)
	if err != nil {
		return err
	}
	p.onStop("the object store", func(context.Context) error { return store.Close() })
	config.Store = storeid.Candidate{Store: store, Place: at, Adopt: u.adopt}
	return nil
}

// place returns where a store is: the same path on two hosts need not be the same folder.
func place(location string) (string, error) {
	url, err := objectstore.URL(location)
	if err != nil {
		return "", err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	return url + " on " + host, nil
}
