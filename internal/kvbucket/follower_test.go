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

// followed is a bucket with what a follower has read of it.
type followed struct {
	*testing.T
	ctx      context.Context
	js       jetstream.JetStream
	kv       jetstream.KeyValue
	follower *kvbucket.Follower
	read     map[string]kvbucket.Record
}

func newFollowed(t *testing.T) *followed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	_, js := embeddedtest.Start(t)
	m := &followed{T: t, ctx: ctx, js: js, follower: kvbucket.NewFollower("M")}
	m.open()
	return m
}

func (m *followed) open() {
	m.Helper()
	var err error
	if m.kv, err = kvbucket.OpenBucket(m.ctx, m.js, "M", ""); err != nil {
		m.Fatal(err)
	}
}

func (m *followed) put(key, value string) {
	m.Helper()
	if _, err := m.kv.PutString(m.ctx, key, value); err != nil {
		m.Fatal(err)
	}
}

// check expects this number of changed records, and compares all that was read with the bucket.
func (m *followed) check(what string, changed int) {
	m.Helper()
	c, err := m.follower.Read(m.ctx, m.js)
	if c.All {
		m.read = make(map[string]kvbucket.Record)
	}
	for _, r := range c.Records {
		m.read[r.Key] = r
	}
	records, last, wantErr := kvbucket.Records(m.ctx, m.js, "M", "")
	want := make(map[string]kvbucket.Record)
	for _, r := range records {
		want[r.Key] = r
	}
	if err != nil || wantErr != nil || c.Revision != last || len(c.Records) != changed || !reflect.DeepEqual(m.read, want) {
		m.Errorf("%s: read are %+v at %d, %v, changed %d; the bucket has %+v at %d, %v", what, m.read, c.Revision, err, len(c.Records), want, last, wantErr)
	}
}

func TestFollowerReadsWhatHasChanged(t *testing.T) {
	m := newFollowed(t)
	m.check("empty", 0)
	for n := range 3 {
		m.put(fmt.Sprint("key-", n), "a")
	}
	m.check("filled", 3)
	m.check("unchanged", 0)
	m.put("key-1", "b")
	m.put("new", "c")
	m.check("changed and added", 2)
	if err := m.kv.Delete(m.ctx, "key-0"); err != nil {
		t.Fatal(err)
	}
	m.check("removed", 1)
	for n := range 100 {
		m.put(fmt.Sprint("key-", n%40), fmt.Sprint(n))
	}
	m.check("many changes", 41)
	m.put("key-19", "the last one that was read is replaced")
	m.check("the last one that was read is replaced", 41)
}

// A bucket that was restored from a copy may have gone another way since.
func TestFollowerNoticesAnotherBucketOfTheSameLength(t *testing.T) {
	m := newFollowed(t)
	m.put("a", "1")
	m.put("b", "1")
	m.check("before", 2)
	if err := m.js.DeleteKeyValue(m.ctx, "M"); err != nil {
		t.Fatal(err)
	}
	m.open()
	m.put("a", "2")
	m.put("b", "2")
	m.check("after", 2)
	m.put("c", "3")
	m.check("after a change", 1)
}
