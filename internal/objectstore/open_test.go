package objectstore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenTakesPathsAndFileURLs(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	for location, want := range map[string]string{
		folder + "/plain":                "plain",
		"relative/deep":                  "relative/deep",
		"file://" + folder + "/url":      "url",
		"file:" + folder + "/short":      "short",
		"file://" + folder + "/a%20b/c/": "a b/c",
	} {
		store, err := Open(location, 0)
		if err != nil {
			t.Errorf("Open(%q): %v", location, err)
			continue
		}
		if err := store.Put(t.Context(), "k", nil); err != nil {
			t.Errorf("Open(%q): %v", location, err)
		}
		if _, err := os.Stat(filepath.Join(folder, want, "k")); err != nil {
			t.Errorf("Open(%q): %v", location, err)
		}
	}
}

func TestOpenRefusesWhatIsNotALocalStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for location, want := range map[string]string{
		"":                        "no location",
		"s3://bucket/prefix":      "is not a folder",
		"gs://user:secret@bucket": "is not a folder",
		"mem://":                  "is not a folder",
		"file://relative/path":    "does not name an absolute path",
		"file:relative":           "does not name an absolute path",
		"file://":                 "does not name an absolute path",
		"file:///tmp/x?mode=fast": "carries options",
		"file:///tmp/%zz":         "invalid URL escape",
		file:                      file + " is not a folder",
		file + "/below":           file + " is not a folder",
	} {
		_, err := Open(location, 0)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q): error is %v, want it to say %q", location, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%q): error %v gives away the password", location, err)
		}
	}
}
