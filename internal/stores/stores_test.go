package stores

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"laneway.dev/internal/objectstore/location"
)

func TestLocationsOfAllKindsAreOpened(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "objects")
	t.Setenv("AZURE_STORAGE_KEY", "c2VjcmV0")
	for at, want := range map[string]string{
		folder:                                   "file://" + folder,
		"file://" + folder:                       "file://" + folder,
		"gs://bucket/prefix":                     "gs://bucket/prefix",
		"azblob://c/p?account=a":                 "azblob://c/p?account=a",
		"s3://bucket/prefix?region=eu-central-1": "s3://bucket/prefix?region=eu-central-1",
	} {
		store, err := Open(t.Context(), at, 0)
		if err != nil {
			t.Errorf("%s: %v", at, err)
			continue
		}
		t.Cleanup(func() { store.Close() })
		if url, err := location.URL(at); err != nil || url != want {
			t.Errorf("%s: its URL is %q (%v), want %q", at, url, err, want)
		}
		if local := strings.HasPrefix(want, "file:"); location.IsLocal(at) != local {
			t.Errorf("%s: is a folder: %v", at, !local)
		}
	}
	if _, err := os.Stat(folder); err != nil {
		t.Error(err)
	}
	if _, err := OpenExisting(t.Context(), folder+"-other"); err == nil {
		t.Error("a folder that does not exist was opened for reading")
	}
}
