package objectstore_test

import (
	"testing"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/storetest"
)

func TestFolderIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) objectstore.Store {
		store, err := objectstore.Open(t.TempDir(), 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		return store
	})
}
