package storeid

import (
	"testing"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/objectstore"
)

// parted is a store that has a part for each cluster.
type parted struct {
	objectstore.Store
	cluster string // of this part; empty: the whole store
}

func (p parted) Below(cluster string) objectstore.Store { return parted{p.Store, cluster} }

// wantPart compares the part that a store is.
func wantPart(t *testing.T, store objectstore.Store, cluster string) {
	t.Helper()
	if part := store.(parted); part.cluster != cluster {
		t.Errorf("the objects are in the part of cluster %q, want %q", part.cluster, cluster)
	}
}

func TestObjectsLieInThePartOfTheCluster(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx, c := limited(t), in(t, t.TempDir())
	c.Store = parted{Store: c.Store}
	first, err := Join(ctx, js, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, cluster, err := Identity(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	wantPart(t, first, cluster)
	second, err := Join(ctx, js, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantPart(t, second, cluster)
	putObject(t, c)
	wantPart(t, examine(t, nil, c).Objects, cluster)
	lose(t, c)
	wantPart(t, examine(t, js, c).Objects, cluster) // of the record
	wantPart(t, examine(t, nil, c).Objects, "")
}

func TestIDThatIsNoPartOfAKeyIsDamage(t *testing.T) {
	for _, id := range []string{"", "..", "a/b", "a b", "ä", "a\n"} {
		if _, err := decodeMarker([]byte(marker{Cluster: id, Store: "s1"}.text())); err == nil {
			t.Errorf("a marker with cluster %q is accepted", id)
		}
		if _, err := decodeRecord([]byte(`{"cluster":"` + id + `"}`)); err == nil {
			t.Errorf("a record with cluster %q is accepted", id)
		}
	}
	if _, err := decodeMarker([]byte(marker{Cluster: "Ab-3_", Store: "s1"}.text())); err != nil {
		t.Error(err)
	}
}
