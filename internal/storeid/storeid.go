// Package storeid makes sure that all roles of a Laneway use the same object store, so
// that what one of them acknowledges can be read by the others.
//
// A cluster is the services of one NATS account. It has a record in the bucket
// LANEWAY_CLUSTER, and its store has a marker beside the objects. A role starts only if record
// and marker name the same cluster and the same store. The first role that starts creates
// both.
//
// The package never reads objects, and never changes a marker.
package storeid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"laneway.dev/internal/objectstore"
)

const (
	bucket = "LANEWAY_CLUSTER"
	key    = "store"

	markerName = objectstore.MarkerName
)

// record is the cluster's record in the bucket.
type record struct {
	Cluster string `json:"cluster"` // id of the cluster, random
	// Store is the id of the store. It is empty until a store has its marker. Until then no
	// role has started, and any store may become that of the cluster.
	Store string `json:"store,omitempty"`
	Place string `json:"place"` // where the role that wrote this has the store; for people
}

// marker is the content of a store's marker.
type marker struct {
	Cluster string `json:"cluster"`
	// Store is a new id for each attempt to mark a store. Roles that start at the same time
	// with different stores may both mark theirs; the record names only one of them.
	Store string `json:"store"`
}

// text returns the marker as one line of text, so that an operator can restore it by hand.
func (m marker) text() string {
	return fmt.Sprintf(`{"cluster":%q,"store":%q}`, m.Cluster, m.Store)
}

func decodeMarker(content []byte) (*marker, error) {
	var m marker
	if err := json.Unmarshal(content, &m); err != nil {
		return nil, err
	}
	if m.Store == "" {
		return nil, errors.New("it names no store")
	}
	if err := checkCluster(m.Cluster); err != nil {
		return nil, err
	}
	return &m, nil
}

func decodeRecord(value []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, err
	}
	if err := checkCluster(r.Cluster); err != nil {
		return nil, err
	}
	return &r, nil
}

// checkCluster rejects ids of clusters that are no part of a key. A marker may have been
// written by hand, and the keys of objects begin with this id.
func checkCluster(id string) error {
	if id == "" {
		return errors.New("it names no cluster")
	}
	const letters = "abcdefghijklmnopqrstuvwxyz"
	if strings.Trim(strings.ToLower(id), letters+"0123456789-_") != "" {
		return fmt.Errorf("%.64q is not the id of a cluster", id)
	}
	return nil
}

// Candidate is the store that a role is configured with.
type Candidate struct {
	Store objectstore.Store
	Place string // where it is, as an operator knows it
	Adopt bool   // take the store over if the cluster has none and the store has a marker
	// Waiting is called by Join with the error of each request to the store that is repeated,
	// and with nil when the wait has ended. It may be nil.
	Waiting func(error)
}

// Identity returns the ids of a store and its cluster from the marker. A RefusedError means
// that the marker is missing or damaged.
func Identity(ctx context.Context, c Candidate) (store, cluster string, err error) {
	found, err := c.readMarker(ctx)
	switch {
	case err != nil:
		return "", "", err
	case found == nil:
		return "", "", c.unmarked()
	}
	return found.Store, found.Cluster, nil
}

// unmarked is the error of a store without a marker, if there is no record to compare it with.
func (c Candidate) unmarked() *RefusedError {
	return refuse("look for a wrong path or a volume that is not mounted; if only the file "+markerName+" was lost, restore it from a copy",
		"the object store %s has no marker: it is unknown whose store it is", c.Place)
}

// readMarker returns the marker of the store; nil if it has none.
func (c Candidate) readMarker(ctx context.Context) (*marker, error) {
	var content []byte
	err := bounded(ctx, requestTime, func(ctx context.Context) (err error) {
		content, err = c.Store.Marker(ctx)
		return err
	})
	switch {
	case errors.Is(err, objectstore.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	found, err := decodeMarker(content)
	if err != nil {
		return nil, refuse("restore the file "+markerName+" from a copy",
			"it is unknown to which Laneway the object store %s belongs, because its marker is damaged: %v", c.Place, err)
	}
	return found, nil
}

// RefusedError means that a store is not that of the cluster, or may not be.
type RefusedError struct {
	Reason string // one sentence
	Advice string // what an operator can do
}

// Error returns the reason.
func (e *RefusedError) Error() string { return e.Reason }

func refuse(advice, format string, arguments ...any) *RefusedError {
	return &RefusedError{Reason: fmt.Sprintf(format, arguments...), Advice: advice}
}
