package kvbucket_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/kvbucket"
)

// mirrored is a bucket with a mirror of it.
type mirrored struct {
	*testing.T
	ctx    context.Context
	js     jetstream.JetStream
	kv     jetstream.KeyValue
	mirror *kvbucket.Mirror
}

func newMirrored(t *testing.T) *mirrored {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	_, js := embeddedtest.Start(t)
	m := &mirrored{T: t, ctx: ctx, js: js, mirror: kvbucket.NewMirror("M")}
	m.open()
	return m
}

func (m *mirrored) open() {
	m.Helper()
	var err error
	if m.kv, err = kvbucket.OpenBucket(m.ctx, m.js, "M", ""); err != nil {
		m.Fatal(err)
	}
}

func (m *mirrored) put(key, value string) {
	m.Helper()
	if _, err := m.kv.PutString(m.ctx, key, value); err != nil {
		m.Fatal(err)
	}
}

// check compares the mirror with the bucket.
func (m *mirrored) check(what string) {
	m.Helper()
	got, last, err := m.mirror.Records(m.ctx, m.js)
	want, wantLast, wantErr := kvbucket.Records(m.ctx, m.js, "M")
	if err != nil || wantErr != nil || last != wantLast || len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
		m.Errorf("%s: the mirror has %+v at %d, %v; the bucket %+v at %d, %v", what, got, last, err, want, wantLast, wantErr)
	}
}

func TestMirrorFollowsItsBucket(t *testing.T) {
	m := newMirrored(t)
	m.check("empty")
	for n := range 3 {
		m.put(fmt.Sprint("key-", n), "a")
	}
	m.check("filled")
	m.check("unchanged")
	m.put("key-1", "b")
	m.put("new", "c")
	m.check("changed and added")
	if err := m.kv.Delete(m.ctx, "key-0"); err != nil {
		t.Fatal(err)
	}
	m.check("removed")
	for n := range 100 {
		m.put(fmt.Sprint("key-", n%40), fmt.Sprint(n))
	}
	m.check("many changes")
	m.put("key-39", "the last one is replaced")
	m.check("the last one is replaced")
}

// A bucket that was restored from a copy may have gone another way since.
func TestMirrorNoticesAnotherBucketOfTheSameLength(t *testing.T) {
	m := newMirrored(t)
	m.put("a", "1")
	m.put("b", "1")
	m.check("before")
	if err := m.js.DeleteKeyValue(m.ctx, "M"); err != nil {
		t.Fatal(err)
	}
	m.open()
	m.put("a", "2")
	m.put("b", "2")
	m.check("after")
	m.put("c", "3")
	m.check("after a change")
}
