package stores

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLocationsOfAllKindsAreOpened(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "objects")
	t.Setenv("AZURE_STORAGE_KEY", "c2VjcmV0")
	for location, want := range map[string]string{
		folder:                                   "file://" + folder,
		"file://" + folder:                       "file://" + folder,
		"gs://bucket/prefix":                     "gs://bucket/prefix",
		"azblob://c/p?account=a":                 "azblob://c/p?account=a",
		"s3://bucket/prefix?region=eu-central-1": "s3://bucket/prefix?region=eu-central-1",
	} {
		store, err := Open(t.Context(), location, 0)
		if err != nil {
			t.Errorf("%s: %v", location, err)
			continue
		}
		t.Cleanup(func() { store.Close() })
		if url, err := URL(location); err != nil || url != want {
			t.Errorf("%s: its URL is %q (%v), want %q", location, url, err, want)
		}
		if local := strings.HasPrefix(want, "file:"); IsLocal(location) != local {
			t.Errorf("%s: is a folder: %v", location, !local)
		}
	}
	if _, err := os.Stat(folder); err != nil {
		t.Error(err)
	}
	if _, err := OpenExisting(t.Context(), folder+"-other"); err == nil {
		t.Error("a folder that does not exist was opened for reading")
	}
}

func TestUnknownSchemesAreRejectedWithoutTheirSecrets(t *testing.T) {
	for _, location := range []string{"mem://", "s4://user:secret@bucket", "s3://user:secret@bucket", "http://host/?key=secret"} {
		url, err := URL(location)
		if err == nil || strings.Contains(url+err.Error(), "secret") {
			t.Errorf("%s: URL %q and error %v", location, url, err)
		}
	}
}
