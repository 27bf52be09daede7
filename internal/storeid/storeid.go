// Package storeid makes sure that all roles of a Laneway use the same object store, so
// that what one of them acknowledges can be read by the others.
//
// A Laneway is a cluster here: the services around one NATS account. The cluster has a
// record in the bucket LANEWAY_CLUSTER, and its store has a marker beside the objects.
// Record and marker name the same cluster and the same store, or the role does not start.
// The first role that starts makes both.
//
// The package never looks at objects, and never changes a marker.
package storeid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"laneway.dev/internal/objectstore"
)

const (
	bucket = "LANEWAY_CLUSTER"
	key    = "store"

	markerName = objectstore.MarkerName
)

// record is what the bucket says of the cluster.
type record struct {
	Cluster string `json:"cluster"` // id of the cluster, random
	// Store is the id of its store. It is empty until the store has its marker: until
	// then no role has started, and any store may become the cluster's.
	Store string `json:"store,omitempty"`
	Place string `json:"place"` // where the role that wrote this has the store; for people
}

// marker is what the marker of a store says.
type marker struct {
	Cluster string `json:"cluster"`
	// Store is another id for each attempt to mark a store: roles that start at the same
	// time with different stores may both mark theirs, and the record names one of them.
	Store string `json:"store"`
}

// text returns the marker as a line, which an operator may have to write again.
func (m marker) text() string {
	return fmt.Sprintf(`{"cluster":%q,"store":%q}`, m.Cluster, m.Store)
}

func decodeMarker(content []byte) (*marker, error) {
	var m marker
	if err := json.Unmarshal(content, &m); err != nil {
		return nil, err
	}
	if m.Cluster == "" || m.Store == "" {
		return nil, errors.New("it names no store")
	}
	return &m, nil
}

func decodeRecord(value []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, err
	}
	if r.Cluster == "" {
		return nil, errors.New("it names no cluster")
	}
	return &r, nil
}

// Candidate is a store that a role is to use.
type Candidate struct {
	Store objectstore.Store
	Place string // where it is, as an operator knows it
	Adopt bool   // take the store over if the cluster has none and the store has a marker
}

// Identity returns the ids of a store and of its cluster, as its marker names them. A
// RefusedError says that there is no marker, or that it is damaged.
func Identity(ctx context.Context, c Candidate) (store, cluster string, err error) {
	found, err := c.readMarker(ctx)
	switch {
	case err != nil:
		return "", "", err
	case found == nil:
		return "", "", refuse("look for a wrong path or a volume that is not mounted; if only the file "+markerName+" was lost, restore it from a copy",
			"the object store %s has no marker: it is unknown whose store it is", c.Place)
	}
	return found.Store, found.Cluster, nil
}

// readMarker returns the marker of the store; nil if it has none.
func (c Candidate) readMarker(ctx context.Context) (*marker, error) {
	content, err := c.Store.Marker(ctx)
	switch {
	case errors.Is(err, objectstore.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	found, err := decodeMarker(content)
	if err != nil {
		return nil, refuse("restore the file "+markerName+" from a copy",
			"whose object store %s is cannot be told, because its marker is damaged: %v", c.Place, err)
	}
	return found, nil
}

// RefusedError says that a store is not the one of the cluster, as far as that is known.
type RefusedError struct {
	Reason string // one sentence
	Advice string // what an operator can do
}

// Error returns the reason.
func (e *RefusedError) Error() string { return e.Reason }

func refuse(advice, format string, arguments ...any) *RefusedError {
	return &RefusedError{Reason: fmt.Sprintf(format, arguments...), Advice: advice}
}
