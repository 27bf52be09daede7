package storeid

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/objectstore"
)

// maxSteps bounds the steps of one attempt. A single role takes three. Roles that start at
// the same time may have to repeat some.
const maxSteps = 16

// Join makes sure that the store is that of the cluster, and returns the part of it that has the
// objects of the cluster. If the cluster has no store yet, this one becomes it. A RefusedError
// means that the cluster has another store. While JetStream does not answer, or the store fails
// for a reason that may pass, Join retries until ctx ends. silent, unless it is nil, is called
// with each error of JetStream. Other errors come from the store.
func Join(ctx context.Context, js jetstream.JetStream, c Candidate, silent func(error)) (objectstore.Store, error) {
	cluster, err := kvbucket.Repeat(ctx, func() (string, error) {
		return (&joining{js: js, candidate: c, patient: true}).attempt(ctx)
	}, silent)
	if err != nil {
		return nil, described(err)
	}
	return c.Store.Below(cluster), nil
}

// described adds what has failed to an error, unless the error says so.
func described(err error) error {
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return refused
	}
	if err != nil {
		return fmt.Errorf("compare the object store with that of the cluster: %w", err)
	}
	return nil
}

// joining is one attempt.
type joining struct {
	js        jetstream.JetStream
	candidate Candidate
	patient   bool   // bound the requests to JetStream, and repeat those to the store
	revision  uint64 // of the record that was read; 0 if there was none
	cluster   string // id in that record
	store     string // id of the store in that record; empty if it names none
}

// attempt returns the id of the cluster.
func (j *joining) attempt(ctx context.Context) (string, error) {
	for range maxSteps {
		next, err := j.look(ctx)
		switch {
		case errors.Is(err, errMoved):
			continue
		case err != nil:
			return "", err
		case next.refused != nil:
			return "", backoff.Permanent(next.refused)
		case next.done():
			return j.cluster, nil
		}
		if err := j.act(ctx, next); err != nil {
			return "", err
		}
	}
	return "", errMoved
}

// look reads the situation and decides the next step.
func (j *joining) look(ctx context.Context) (decision, error) {
	s := situation{place: j.candidate.Place, adopt: j.candidate.Adopt, fresh: rand.Text()}
	var err error
	if s.record, err = j.readRecord(ctx); err != nil {
		return decision{}, err
	}
	// The marker is read after the record, which names only markers that exist.
	if s.marker, err = j.readMarker(ctx); err != nil {
		return decision{}, err
	}
	if s.record == nil {
		if s.logs, err = j.logsExist(ctx); err != nil {
			return decision{}, err
		}
	}
	if s.record == nil && s.marker == nil {
		err = j.ask(ctx, func() (err error) {
			s.empty, err = isEmpty(ctx, j.candidate.Store)
			return err
		})
		if err != nil {
			return decision{}, err
		}
	}
	next := decide(s)
	if next.refused == nil {
		return next, nil
	}
	// Another role may have written the marker after the record was read. A store is refused
	// only if record and marker existed at the same time. Markers never change.
	before := j.revision
	if _, err := j.readRecord(ctx); err != nil {
		return decision{}, err
	}
	if j.revision != before {
		return decision{}, errMoved
	}
	return next, nil
}

// errMoved means that the record has changed while the marker was read.
var errMoved = errors.New("other roles keep changing the record of the store")

// readRecord returns the record from the leader of the bucket; nil if there is none. It does
// not create the bucket, so that a refused role changes nothing.
func (j *joining) readRecord(ctx context.Context) (*record, error) {
	j.revision, j.cluster, j.store = 0, "", ""
	ctx, cancel := j.bound(ctx)
	defer cancel()
	records, _, err := kvbucket.Records(ctx, j.js, bucket, "")
	if kvbucket.IsMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, found := range records {
		if found.Key != key {
			continue
		}
		j.revision = found.Revision
		if !found.Exists && !found.Unreadable {
			return nil, nil
		}
		decoded, err := decodeRecord(found.Value)
		if found.Unreadable {
			err = errors.New("JetStream cannot read it")
		}
		if err != nil {
			return nil, backoff.Permanent(damagedRecord(err))
		}
		j.cluster, j.store = decoded.Cluster, decoded.Store
		return decoded, nil
	}
	return nil, nil
}

func damagedRecord(err error) *RefusedError {
	return refuse("restore the bucket from a copy; or remove it with: nats stream rm KV_"+bucket+", and start one role with the right --store and --adopt-store",
		"which object store this Laneway has is unknown, because its record in bucket %s is damaged: %v", bucket, err)
}

// readMarker returns the marker of the store; nil if it has none.
func (j *joining) readMarker(ctx context.Context) (*marker, error) {
	var found *marker
	err := j.ask(ctx, func() (err error) {
		found, err = j.candidate.readMarker(ctx)
		return err
	})
	return found, err
}

// isEmpty reports whether a store has no objects. The store bounds the time of each page.
func isEmpty(ctx context.Context, store objectstore.Store) (bool, error) {
	for _, err := range store.List(ctx, "") {
		return false, err
	}
	return true, nil
}

// act takes a step. If another role was faster, it returns nil, and the situation is read
// again.
func (j *joining) act(ctx context.Context, next decision) error {
	if next.mark != nil {
		err := j.ask(ctx, func() error {
			return bounded(ctx, 2*requestTime, func(ctx context.Context) error { // it reads and writes
				return j.candidate.Store.Mark(ctx, []byte(next.mark.text()+"\n"))
			})
		})
		if err != nil && !errors.Is(err, objectstore.ErrExists) {
			return err
		}
	}
	if next.write == nil {
		return nil
	}
	value, err := json.Marshal(next.write)
	if err != nil {
		return backoff.Permanent(err)
	}
	ctx, cancel := j.bound(ctx)
	defer cancel()
	kv, err := kvbucket.OpenBucket(ctx, j.js, bucket, "Laneway: the cluster and its object store")
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	_, err = kv.Update(ctx, key, value, j.revision)
	if kvbucket.IsConflict(err) {
		return nil
	}
	return err
}

// logsExist reports whether any partition has a log.
func (j *joining) logsExist(ctx context.Context) (bool, error) {
	ctx, cancel := j.bound(ctx)
	defer cancel()
	return kvbucket.LogsExist(ctx, j.js)
}

// bound bounds requests to JetStream, which hang while it has no leader.
func (j *joining) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if !j.patient {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, kvbucket.AttemptTime)
}

// ask makes a request to the store. If it is patient, it repeats the request while it fails for
// a reason that may pass, and any other error is permanent. The situation may change meanwhile:
// the record is written only with the revision that was read, and markers never change.
func (j *joining) ask(ctx context.Context, request func() error) error {
	if !j.patient {
		return request()
	}
	waiting := j.candidate.Waiting
	if waiting == nil {
		waiting = func(error) {}
	}
	waited := false
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := request()
		if err != nil && !objectstore.Passing(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithMaxElapsedTime(0), backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 200 * time.Millisecond, Multiplier: 2, RandomizationFactor: 0.5, MaxInterval: 10 * time.Second,
	}), backoff.WithNotify(func(err error, _ time.Duration) {
		waited = true
		waiting(err)
	}))
	if waited {
		waiting(nil)
	}
	if err != nil {
		err = backoff.Permanent(err)
	}
	return err
}

// requestTime bounds a request to the store.
const requestTime = 30 * time.Second

// bounded bounds a request to the store. One that takes too long may succeed later.
func bounded(ctx context.Context, limit time.Duration, request func(context.Context) error) error {
	attempt, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := request(attempt)
	if err != nil && attempt.Err() != nil && ctx.Err() == nil && !objectstore.Passing(err) {
		err = fmt.Errorf("%w: %w", objectstore.ErrUnreachable, err)
	}
	return err
}
