package storeid

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/objectstore"
)

// Examined is what Examine has found out about a store.
type Examined struct {
	Store   string // id of the store, from its marker; empty if the marker cannot be read
	Cluster string // id of its cluster, from the marker as well
	// Objects is the part of the store that has the objects of the cluster.
	Objects objectstore.Store
	// Doubt is why the store may be another one than that of the cluster; nil if it is certain.
	Doubt *RefusedError
}

// Examine compares a store with that of the cluster, for a reader that looks at a store which may
// be damaged, or another one than expected. It changes nothing. js is nil if there is no server to
// compare with.
//
// A RefusedError means that the store is not that of the cluster: the record names another one, or
// the store has neither a marker nor objects. A store whose marker was lost but which has objects,
// and one whose record was lost, are in doubt instead. Their objects can be read, and show whether
// they are those that the logs refer to. Other errors mean that the store or JetStream cannot be
// read.
func Examine(ctx context.Context, js jetstream.JetStream, c Candidate) (*Examined, error) {
	j := joining{js: js, candidate: c}
	found, err := c.readMarker(ctx)
	damaged, isDamaged := errors.AsType[*RefusedError](err)
	switch {
	case err != nil && (unusable(err) || ctx.Err() != nil):
		return nil, fmt.Errorf("read the marker of the object store %s: %w", c.Place, err)
	case err != nil && !isDamaged:
		damaged = refuse("check the permissions of the file "+markerName+" and the disk that it is on, or restore it from a copy",
			"the marker of the object store %s cannot be read: %v", c.Place, err)
	}
	if found == nil {
		return j.examineUnmarked(ctx, damaged)
	}
	marked := &Examined{Store: found.Store, Cluster: found.Cluster, Objects: c.Store.Below(found.Cluster)}
	if js == nil {
		return marked, nil
	}
	next, err := j.look(ctx)
	switch unreadable, is := errors.AsType[*RefusedError](err); {
	case is:
		marked.Doubt = unreadable
	case err != nil:
		return nil, described(err)
	case next.refused != nil && j.store != "":
		return nil, next.refused
	default:
		marked.Doubt = next.refused
	}
	return marked, nil
}

// examineUnmarked examines a store without a marker that can be read. damaged says what is wrong
// with the marker; nil if there is none.
func (j *joining) examineUnmarked(ctx context.Context, damaged *RefusedError) (*Examined, error) {
	c := j.candidate
	if j.js == nil {
		if damaged == nil {
			damaged = c.unmarked()
		}
		return &Examined{Objects: c.Store, Doubt: damaged}, nil
	}
	known, err := j.readRecord(ctx)
	unreadable, isDamaged := errors.AsType[*RefusedError](err)
	if err != nil && !isDamaged {
		return nil, described(err)
	}
	found := &Examined{Objects: c.Store}
	if known != nil {
		found.Objects = c.Store.Below(known.Cluster)
	}
	empty, err := isEmpty(ctx, found.Objects)
	if err != nil {
		return nil, fmt.Errorf("list the object store %s: %w", c.Place, err)
	}
	switch {
	case damaged != nil:
		found.Doubt = damaged
	case unreadable != nil:
		found.Doubt = unreadable
	case known == nil || known.Store == "":
		found.Doubt = refuse("look for a wrong path or prefix, and for a wrong URL of NATS; a store gets its marker when Laneway starts with it for the first time",
			"it is unknown whether the object store %s is that of this Laneway: it has no marker, and bucket %s names no store", c.Place, bucket)
	default:
		found.Doubt = compare(situation{record: known, place: c.Place}).refused
		if !empty {
			found.Doubt.Reason = fmt.Sprintf("it is not certain that the object store %s is that of this Laneway: it has objects, but no marker", c.Place)
		}
	}
	if empty {
		return nil, found.Doubt
	}
	return found, nil
}

// unusable reports whether an error of a store concerns all requests to it. Nothing can then be
// said about its objects, and least of all that they are lost.
func unusable(err error) bool {
	for _, all := range []error{
		objectstore.ErrUnreachable, objectstore.ErrThrottled, objectstore.ErrDenied, objectstore.ErrCredentials, objectstore.ErrClock,
		objectstore.ErrNoBucket, objectstore.ErrRegion, objectstore.ErrTLS, objectstore.ErrNoStore,
	} {
		if errors.Is(err, all) {
			return true
		}
	}
	return false
}
