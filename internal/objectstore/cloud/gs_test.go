package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/storetest"
	"laneway.dev/internal/selftest"
)

// fakeGS imitates the part of the JSON API of Google Cloud Storage that is used, for the
// bucket b.
type fakeGS struct{ fake }

func newFakeGS(t *testing.T) (*fakeGS, string) {
	t.Helper()
	f := &fakeGS{fake{objects: make(map[string]string)}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /upload/storage/v1/b/b/o", f.insert)
	mux.HandleFunc("GET /storage/v1/b/b/o", f.page)
	mux.HandleFunc("GET /storage/v1/b/b/o/{key...}", f.read)
	mux.HandleFunc("DELETE /storage/v1/b/b/o/{key...}", f.delete)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answerGS(w, r, http.StatusNotFound, "notFound", "The specified bucket does not exist.")
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.note(r)
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return f, server.URL
}

// answerGS answers with an error, which is plain text for a download.
func answerGS(w http.ResponseWriter, r *http.Request, status int, reason, message string) {
	if r.URL.Query().Get("alt") == "media" {
		http.Error(w, message, status)
		return
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"error":{"code":%d,"message":%q,"errors":[{"reason":%q,"message":%q}]}}`, status, message, reason, message)
}

func (f *fakeGS) insert(w http.ResponseWriter, r *http.Request) {
	_, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	parts := multipart.NewReader(r.Body, parameters["boundary"])
	var object struct{ Name, Md5Hash string }
	var content []byte
	part, err := parts.NextPart()
	if err == nil {
		err = json.NewDecoder(part).Decode(&object)
	}
	if err == nil {
		part, err = parts.NextPart()
	}
	if err == nil {
		content, err = io.ReadAll(part)
	}
	if err != nil || r.URL.Query().Get("ifGenerationMatch") != "0" {
		http.Error(w, fmt.Sprint("not a conditional put: ", err), http.StatusBadRequest)
		return
	}
	exists, mismatch := f.put(object.Name, string(content), object.Md5Hash)
	switch {
	case mismatch:
		answerGS(w, r, http.StatusBadRequest, "invalid", `Provided MD5 hash "a" doesn't match calculated MD5 hash "b".`)
	case exists:
		answerGS(w, r, http.StatusPreconditionFailed, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
	default:
		_, _ = fmt.Fprintf(w, `{"name":%q}`, object.Name)
	}
}

func (f *fakeGS) read(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	content, ok := f.get(key)
	switch {
	case !ok:
		answerGS(w, r, http.StatusNotFound, "notFound", "No such object: b/"+key)
	case r.URL.Query().Get("alt") == "media":
		send(w, r, content)
	default:
		_, _ = fmt.Fprintf(w, `{"size":"%d"}`, len(content))
	}
}

func (f *fakeGS) delete(w http.ResponseWriter, r *http.Request) {
	if key := r.PathValue("key"); !f.remove(key) {
		answerGS(w, r, http.StatusNotFound, "notFound", "No such object: b/"+key)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (f *fakeGS) page(w http.ResponseWriter, r *http.Request) {
	keys, next := f.list(r.URL.Query().Get("prefix"), r.URL.Query().Get("pageToken"))
	items := make([]map[string]string, len(keys))
	for i, key := range keys {
		content, _ := f.get(key)
		items[i] = map[string]string{"name": key, "size": fmt.Sprint(len(content))}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"items": items, "nextPageToken": next})
}

func TestFakedGoogleCloudStorageIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) objectstore.Store {
		_, endpoint := newFakeGS(t)
		return openURL(t, "gs://b/p?endpoint="+endpoint)
	})
}

func TestAGSPutIsOneRequest(t *testing.T) {
	server, endpoint := newFakeGS(t)
	store := openURL(t, "gs://b/p?endpoint="+endpoint).Below("c1")
	key := storetest.NewKey(t)
	if err := store.Put(t.Context(), key, [][]byte{make([]byte, 32<<20), []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if content, _ := server.get("p/c1/" + key); len(server.requests) != 1 || len(content) != 32<<20+1 {
		t.Errorf("%d requests, and %d bytes are stored", len(server.requests), len(content))
	}
	wantIs(t, store.(selftest.AlteredPutter).PutAltered(t.Context(), storetest.NewKey(t)), objectstore.ErrDigest)
	_, err := openURL(t, "gs://other/p?endpoint="+endpoint).ReadRange(t.Context(), key, 0, 1)
	wantIs(t, err, objectstore.ErrNoBucket)
}

func TestGSErrorsHaveTheirCause(t *testing.T) {
	for _, c := range []struct {
		status          int
		reason, message string
		want            error
	}{
		{412, "conditionNotMet", "", objectstore.ErrExists},
		{404, "notFound", "The specified bucket does not exist.", objectstore.ErrNoBucket},
		{429, "rateLimitExceeded", "", objectstore.ErrThrottled},
		{403, "userRateLimitExceeded", "", objectstore.ErrThrottled},
		{503, "backendError", "", objectstore.ErrUnreachable},
		{403, "forbidden", "", objectstore.ErrDenied},
		{401, "authError", "", objectstore.ErrCredentials},
		{400, "invalid", "Provided MD5 hash", objectstore.ErrDigest},
	} {
		server, requests := serve(t, false, func(w http.ResponseWriter, r *http.Request) { answerGS(w, r, c.status, c.reason, c.message) })
		err := openURL(t, "gs://b?endpoint="+server.URL).Put(t.Context(), storetest.NewKey(t), [][]byte{[]byte("x")})
		wantIs(t, err, c.want)
		if want := 1; !errors.Is(c.want, objectstore.ErrCredentials) && len(*requests) != want {
			t.Errorf("%v: %d requests, want %d", c.want, len(*requests), want)
		}
	}
}

func TestGoogleCredentialsAreFound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.json")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	store := openURL(t, "gs://b")
	wantIs(t, store.Put(t.Context(), storetest.NewKey(t), nil), objectstore.ErrCredentials)

	// The token server of this user answers, and the store does not, as it is not faked.
	tokens, requests := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token and in a reasonable timeframe. Check your iat and exp values."}`)
	})
	text := fmt.Sprintf(`{"type":"service_account","client_email":"a@b","private_key_id":"1","private_key":%q,"token_uri":%q}`, privateKey(t), tokens.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	err := store.Put(t.Context(), storetest.NewKey(t), nil)
	wantIs(t, err, objectstore.ErrClock)
	if err != nil && strings.Contains(err.Error(), "PRIVATE KEY") {
		t.Errorf("the error shows the key: %v", err)
	}
	if len(*requests) != 1 {
		t.Errorf("%d requests for a token, want one", len(*requests))
	}
}
