package storeid

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/objectstore"
)

// putObject puts something into a store that looks like an object.
func putObject(t *testing.T, c Candidate) {
	t.Helper()
	object, err := objectstore.NewKey(time.Now(), nil)
	if err == nil {
		err = c.Store.Put(t.Context(), object, [][]byte{[]byte("x")})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// lose removes the marker of a store in a folder.
func lose(t *testing.T, c Candidate) {
	t.Helper()
	if err := os.Remove(filepath.Join(c.Place, markerName)); err != nil {
		t.Fatal(err)
	}
}

func examine(t *testing.T, js jetstream.JetStream, c Candidate) *Examined {
	t.Helper()
	found, err := Examine(limited(t), js, c)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func wantDoubt(t *testing.T, found *Examined, word string) {
	t.Helper()
	if found.Doubt == nil || found.Doubt.Advice == "" || !strings.Contains(found.Doubt.Reason, word) {
		t.Errorf("the doubt is %+v, want %q and an advice", found.Doubt, word)
	}
}

func TestExaminingChangesNothing(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx, c := limited(t), in(t, t.TempDir())
	_, err := Examine(ctx, js, c)
	mustRefuse(t, err, "no marker", "names no store")
	if left, err := os.ReadDir(c.Place); err != nil || len(left) > 0 {
		t.Errorf("the store has %v (%v)", left, err)
	}
	if _, err := js.KeyValue(ctx, bucket); !errors.Is(err, jetstream.ErrBucketNotFound) {
		t.Errorf("the bucket is there: %v", err)
	}
}

func TestStoreOfTheClusterIsNotInDoubt(t *testing.T) {
	_, js := embeddedtest.Start(t)
	c := in(t, t.TempDir())
	mustJoin(t, js, c)
	store, cluster, err := Identity(t.Context(), c)
	if found := examine(t, js, c); err != nil || found.Doubt != nil || found.Store != store || found.Cluster != cluster {
		t.Errorf("found is %+v, want store %s of cluster %s (%v)", found, store, cluster, err)
	}
}

func TestOtherStoresAreRefused(t *testing.T) {
	_, js := embeddedtest.Start(t)
	_, others := embeddedtest.Start(t)
	ctx, c, foreign, empty := limited(t), in(t, t.TempDir()), in(t, t.TempDir()), in(t, t.TempDir())
	mustJoin(t, js, c)
	mustJoin(t, others, foreign)
	putObject(t, foreign)
	for _, other := range []Candidate{foreign, empty} {
		_, err := Examine(ctx, js, other)
		mustRefuse(t, err, other.Place)
		if refused, _ := errors.AsType[*RefusedError](err); refused != nil && !strings.Contains(refused.Advice, c.Place) {
			t.Errorf("the advice does not name the store of the cluster: %s", refused.Advice)
		}
	}
	// The marker was lost, and what is left are not objects.
	lose(t, foreign)
	if err := os.RemoveAll(filepath.Join(foreign.Place, "objects")); err != nil {
		t.Fatal(err)
	}
	_, err := Examine(ctx, js, foreign)
	mustRefuse(t, err, "no marker")
}

func TestStoreWithObjectsIsInDoubtIfItsMarkerOrRecordIsGone(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx, c := limited(t), in(t, t.TempDir())
	mustJoin(t, js, c)
	putObject(t, c)
	file := filepath.Join(c.Place, markerName)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lose(t, c)
	found := examine(t, js, c)
	wantDoubt(t, found, "it has objects, but no marker")
	if !strings.Contains(found.Doubt.Advice, strings.TrimSpace(string(content))) {
		t.Errorf("the advice has not the text of the marker: %s", found.Doubt.Advice)
	}
	wantDoubt(t, examine(t, nil, c), "no marker")
	if err := os.WriteFile(file, content[:10], 0o600); err != nil {
		t.Fatal(err)
	}
	wantDoubt(t, examine(t, js, c), "marker is damaged")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(ctx, bucket)
	if err == nil {
		_, err = kv.PutString(ctx, key, "{")
	}
	if err != nil {
		t.Fatal(err)
	}
	wantDoubt(t, examine(t, js, c), "bucket LANEWAY_CLUSTER is damaged")
	if err := js.DeleteKeyValue(ctx, bucket); err != nil {
		t.Fatal(err)
	}
	wantDoubt(t, examine(t, js, c), "the metadata of this one was lost")
	lose(t, c)
	wantDoubt(t, examine(t, js, c), "names no store")
}

func TestMarkerThatCannotBeReadIsDamagedButAStoreThatIsAwayIsNot(t *testing.T) {
	_, js := embeddedtest.Start(t)
	c := in(t, t.TempDir())
	mustJoin(t, js, c)
	putObject(t, c)
	store := newFailing(t, c.Store, objectstore.ErrMedium, 0)
	c.Store = store
	store.left["marker"] = 1
	wantDoubt(t, examine(t, js, c), "cannot be read")
	store.left["marker"], store.cause = 1, objectstore.ErrUnreachable
	if found, err := Examine(limited(t), js, c); !errors.Is(err, objectstore.ErrUnreachable) {
		t.Errorf("found is %+v, %v, want the error of the store", found, err)
	}
}
