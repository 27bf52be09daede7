package cloud

import (
	"crypto/md5"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/location"
)

// fake has the objects of a server that imitates a cloud in a test.
type fake struct {
	mutex    sync.Mutex
	objects  map[string]string
	requests []*http.Request
}

// page is how many objects a page of a list has.
const page = 7

func (f *fake) note(r *http.Request) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.requests = append(f.requests, r)
}

// put stores an object if the hash is that of its content. The results are what the request
// is rejected for.
func (f *fake) put(key, content, hash string) (exists, mismatch bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	sum := md5.Sum([]byte(content))
	if base64.StdEncoding.EncodeToString(sum[:]) != hash {
		return false, true
	}
	if _, exists = f.objects[key]; !exists {
		f.objects[key] = content
	}
	return exists, false
}

func (f *fake) get(key string) (string, bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	content, ok := f.objects[key]
	return content, ok
}

func (f *fake) remove(key string) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	_, ok := f.objects[key]
	delete(f.objects, key)
	return ok
}

// list returns the sizes of a page of objects and the token of the next page.
func (f *fake) list(prefix, token string) (keys []string, next string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, key := range slices.Sorted(maps.Keys(f.objects)) {
		if !strings.HasPrefix(key, prefix) || key < token {
			continue
		}
		if len(keys) == page {
			return keys, key
		}
		keys = append(keys, key)
	}
	return keys, ""
}

// send answers a request for an object or a range of it.
func send(w http.ResponseWriter, r *http.Request, content string) {
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
}

// openURL opens the store of a location.
func openURL(t *testing.T, url string) objectstore.Store {
	t.Helper()
	at, err := location.ParseRemote(url)
	if err != nil {
		t.Fatal(err)
	}
	store, err := Open(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}
