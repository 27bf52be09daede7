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
