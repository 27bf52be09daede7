// Package selftest tests what Laneway needs from an object store: put, ranged read, list and
// delete of a probe object, and that the store neither replaces objects nor accepts altered
// ones. For a step that fails, it returns the cause in a sentence, and advice for the operator.
//
// The probe lies below the id "laneway-probe" and is deleted again, so it never appears among
// the objects of a cluster. Each run has a key of its own; several processes may run the test
// at the same time.
package selftest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"laneway.dev/internal/objectstore"
)

// Step is one thing that a store is asked to do.
type Step string

// The steps, in their order.
const (
	Put     Step = "put"
	Altered Step = "altered put" // of bytes that do not match their hash; the store must refuse it
	Again   Step = "second put"  // of the same key; the store must refuse it
	Read    Step = "ranged read"
	List    Step = "list"
	Delete  Step = "delete"
)

// probeCluster is the id below which probes lie. No cluster has it.
const probeCluster = "laneway-probe"

// probeSize is the size of the probe in bytes.
const probeSize = 1 << 10

// Finding is the outcome of a step.
type Finding struct {
	Step Step
	Took time.Duration
	// Err is why the step fails; nil if it works. Without the step Laneway cannot use the
	// store.
	Err error
	// Lacks is what the store lacks although Laneway works with it; empty if nothing.
	Lacks string
	// Skipped is set if an earlier step has failed, without which this one cannot be tried.
	Skipped bool
}

// AlteredPutter is a store that can try to put bytes with a hash that they do not have. A local
// store is none: nothing comes between it and its disk.
type AlteredPutter interface {
	// PutAltered puts an object whose hash in the request is that of other bytes. The error is
	// objectstore.ErrDigest if the store has noticed that, and nil if it has not. Any other
	// error does not tell.
	PutAltered(ctx context.Context, key string) error
}

// Run tries all steps. Steps after a failed one are tried if they can be, so that the report
// names all rights that are missing. A step that takes 30 seconds has failed, and no further one is
// tried: the store would not answer it either. If ctx is canceled, the error is its cause.
func Run(ctx context.Context, store objectstore.Store) ([]Finding, error) {
	t := trial{ctx: ctx, store: store.Below(probeCluster), content: make([]byte, probeSize)}
	_, _ = rand.Read(t.content) // never fails
	var err error
	if t.key, err = objectstore.NewKey(time.Now(), nil); err != nil {
		return nil, err
	}
	stored := t.try(Put, t.put)
	if _, can := t.store.(AlteredPutter); can {
		t.try(Altered, func() (string, error) { return t.altered(stored) })
	}
	t.after(stored, Again, t.again)
	t.after(stored, Read, t.read)
	t.try(List, func() (string, error) { return t.list(stored) })
	t.after(stored, Delete, t.delete)
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, context.Cause(ctx) // the steps have failed for no other reason
	}
	return t.findings, nil
}

// Failed returns the first finding of a step that does not work; nil if all work.
func Failed(findings []Finding) *Finding {
	for i := range findings {
		if findings[i].Err != nil {
			return &findings[i]
		}
	}
	return nil
}

// trial is one run. It belongs to one goroutine.
type trial struct {
	ctx      context.Context // of the step
	store    objectstore.Store
	key      string
	content  []byte
	findings []Finding
	silent   bool // a step has ended without an answer
}

// stepTime bounds a step. A server may send the header of a response and then nothing.
const stepTime = 30 * time.Second

// try runs a step and reports whether it works.
func (t *trial) try(step Step, do func() (lacks string, err error)) bool {
	if t.silent {
		t.findings = append(t.findings, Finding{Step: step, Skipped: true})
		return false
	}
	began := time.Now()
	run := t.ctx
	defer func() { t.ctx = run }()
	var cancel context.CancelFunc
	t.ctx, cancel = context.WithTimeout(run, stepTime)
	defer cancel()
	lacks, err := do()
	if t.silent = err != nil && errors.Is(t.ctx.Err(), context.DeadlineExceeded); t.silent && !objectstore.Passing(err) {
		err = fmt.Errorf("%w: %w", objectstore.ErrUnreachable, err)
	}
	t.findings = append(t.findings, Finding{Step: step, Took: time.Since(began), Err: err, Lacks: lacks})
	return err == nil
}

// after runs a step if the one that it needs has worked.
func (t *trial) after(possible bool, step Step, do func() (string, error)) {
	if possible {
		t.try(step, do)
		return
	}
	t.findings = append(t.findings, Finding{Step: step, Skipped: true})
}

func (t *trial) put() (string, error) {
	return "", t.store.Put(t.ctx, t.key, [][]byte{t.content[:probeSize/2], t.content[probeSize/2:]})
}

// altered puts bytes with a wrong hash. If the store has just accepted the credentials for
// another put, an error about them does not fail the step: some servers of S3 notice the wrong
// hash first because it makes the signature wrong, and credentials may also expire between
// the two puts.
func (t *trial) altered(stored bool) (lacks string, err error) {
	key, err := objectstore.NewKey(time.Now(), nil)
	if err != nil {
		return "", err
	}
	err = t.store.(AlteredPutter).PutAltered(t.ctx, key)
	switch {
	case errors.Is(err, objectstore.ErrDigest):
		return "", nil
	case stored && errors.Is(err, objectstore.ErrCredentials):
		return "the store rejected the credentials of a put whose bytes do not match their hash, so it is not known whether it compares the two", nil
	case err != nil:
		return "", err
	}
	if err := t.store.Delete(t.ctx, key); err != nil {
		return "", err
	}
	return "", errors.New("the store accepted bytes that do not match their hash, so Laneway would acknowledge an object that was altered in transit")
}

func (t *trial) again() (lacks string, err error) {
	err = t.store.Put(t.ctx, t.key, [][]byte{t.content})
	switch {
	case errors.Is(err, objectstore.ErrExists):
		return "", nil
	case err != nil:
		return "", err
	}
	return "the store ignores conditions and replaced an object; Laneway never uses a key twice, so this matters only if two new clusters are started on one prefix at the same moment", nil
}

func (t *trial) read() (string, error) {
	const offset, length = 100, 500
	got, err := t.store.ReadRange(t.ctx, t.key, offset, length)
	if err == nil && !bytes.Equal(got, t.content[offset:offset+length]) {
		err = fmt.Errorf("the store returned bytes that differ from those stored, at offset %d, length %d", offset, length)
	}
	return "", err
}

// list looks for the probe, if it was stored.
func (t *trial) list(stored bool) (lacks string, err error) {
	for o, err := range t.store.List(t.ctx, t.key) {
		if err != nil {
			return "", err
		}
		if o.Key == t.key {
			if o.Size != probeSize {
				return "", fmt.Errorf("the store lists the probe of %d bytes with a size of %d bytes", probeSize, o.Size)
			}
			return "", nil
		}
	}
	if stored {
		return "the store did not list an object right after storing it", nil
	}
	return "", nil
}

func (t *trial) delete() (string, error) {
	if err := t.store.Delete(t.ctx, t.key); err != nil {
		return "", err
	}
	_, err := t.store.ReadRange(t.ctx, t.key, 0, 1)
	switch {
	case errors.Is(err, objectstore.ErrNotFound):
		return "", nil
	case errors.Is(err, objectstore.ErrDenied):
		// S3 denies reading an object that does not exist to those who may not list. The
		// steps of reading and listing say which right is missing.
		return "", nil
	case err == nil:
		return "the store still returned an object after deleting it", nil
	}
	return "", err
}
