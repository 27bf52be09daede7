package cloud

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/location"
	"laneway.dev/internal/objectstore/storetest"
	"laneway.dev/internal/selftest"
)

// fakeAzure imitates the part of Azure Blob Storage that is used, for the container b of an
// account, without checking signatures.
type fakeAzure struct{ fake }

func newFakeAzure(t *testing.T) (*fakeAzure, string) {
	t.Helper()
	f := &fakeAzure{fake{objects: make(map[string]string)}}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /account/b/{key...}", f.upload)
	mux.HandleFunc("GET /account/b", f.page)
	mux.HandleFunc("GET /account/b/{key...}", f.read) // and HEAD
	mux.HandleFunc("DELETE /account/b/{key...}", f.delete)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { answerAzure(w, http.StatusNotFound, "ContainerNotFound") })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.note(r)
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return f, server.URL + "/account"
}

func answerAzure(w http.ResponseWriter, status int, code string) {
	w.Header().Set("x-ms-error-code", code)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>m</Message></Error>", code)
}

func (f *fakeAzure) upload(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("If-None-Match") != "*" || r.Header.Get("x-ms-blob-type") != "BlockBlob" || r.URL.RawQuery != "" {
		answerAzure(w, http.StatusBadRequest, "InvalidInput")
		return
	}
	exists, mismatch := f.put(r.PathValue("key"), string(content), r.Header.Get("Content-MD5"))
	switch {
	case mismatch:
		answerAzure(w, http.StatusBadRequest, "Md5Mismatch")
	case exists:
		answerAzure(w, http.StatusConflict, "BlobAlreadyExists")
	default:
		w.WriteHeader(http.StatusCreated)
	}
}

func (f *fakeAzure) read(w http.ResponseWriter, r *http.Request) {
	content, ok := f.get(r.PathValue("key"))
	if !ok {
		answerAzure(w, http.StatusNotFound, "BlobNotFound")
		return
	}
	r.Header.Set("Range", r.Header.Get("x-ms-range"))
	if r.Header.Get("Range") == "" {
		r.Header.Del("Range")
	}
	send(w, r, content)
}

func (f *fakeAzure) delete(w http.ResponseWriter, r *http.Request) {
	if !f.remove(r.PathValue("key")) {
		answerAzure(w, http.StatusNotFound, "BlobNotFound")
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (f *fakeAzure) page(w http.ResponseWriter, r *http.Request) {
	type blob struct {
		Name   string `xml:"Name"`
		Length int    `xml:"Properties>Content-Length"`
	}
	var answer struct {
		XMLName xml.Name `xml:"EnumerationResults"`
		Blobs   []blob   `xml:"Blobs>Blob"`
		Next    string   `xml:"NextMarker"`
	}
	keys, next := f.list(r.URL.Query().Get("prefix"), r.URL.Query().Get("marker"))
	for _, key := range keys {
		content, _ := f.get(key)
		answer.Blobs = append(answer.Blobs, blob{key, len(content)})
	}
	answer.Next = next
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(answer)
}

// azureKey sets the key of an account, with which requests are signed.
func azureKey(t *testing.T) {
	t.Helper()
	unsetenv(t, "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_SAS_TOKEN")
	t.Setenv("AZURE_STORAGE_KEY", "c2VjcmV0")
}

func TestFakedAzureBlobStorageIsAStore(t *testing.T) {
	azureKey(t)
	storetest.Run(t, func(t *testing.T) objectstore.Store {
		_, endpoint := newFakeAzure(t)
		return openURL(t, "azblob://b/p?account=account&endpoint="+endpoint)
	})
}

func TestAnAzurePutIsOneRequest(t *testing.T) {
	azureKey(t)
	server, endpoint := newFakeAzure(t)
	store := openURL(t, "azblob://b/p?account=account&endpoint="+endpoint).Below("c1")
	key := storetest.NewKey(t)
	if err := store.Put(t.Context(), key, [][]byte{make([]byte, 32<<20), []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if content, _ := server.get("p/c1/" + key); len(server.requests) != 1 || len(content) != 32<<20+1 {
		t.Errorf("%d requests, and %d bytes are stored", len(server.requests), len(content))
	}
	if signed := server.requests[0].Header.Get("Authorization"); !strings.HasPrefix(signed, "SharedKey account:") {
		t.Errorf("the request is signed with %q", signed)
	}
	wantIs(t, store.(selftest.AlteredPutter).PutAltered(t.Context(), storetest.NewKey(t)), objectstore.ErrDigest)
	_, err := openURL(t, "azblob://other/p?account=account&endpoint="+endpoint).ReadRange(t.Context(), key, 0, 1)
	wantIs(t, err, objectstore.ErrNoBucket)
}

func TestAzureErrorsHaveTheirCause(t *testing.T) {
	azureKey(t)
	for _, c := range []struct {
		status int
		code   string
		want   error
	}{
		{409, "BlobAlreadyExists", objectstore.ErrExists},
		{412, "ConditionNotMet", objectstore.ErrExists},
		{404, "ContainerNotFound", objectstore.ErrNoBucket},
		{409, "ContainerBeingDeleted", objectstore.ErrConflict},
		{503, "ServerBusy", objectstore.ErrThrottled},
		{500, "OperationTimedOut", objectstore.ErrUnreachable},
		{403, "AuthorizationPermissionMismatch", objectstore.ErrDenied},
		{403, "AuthorizationFailure", objectstore.ErrDenied},
		{403, "AuthenticationFailed", objectstore.ErrCredentials},
		{400, "Md5Mismatch", objectstore.ErrDigest},
	} {
		server, requests := serve(t, false, func(w http.ResponseWriter, _ *http.Request) { answerAzure(w, c.status, c.code) })
		wantIs(t, openURL(t, "azblob://b?account=account&endpoint="+server.URL).Put(t.Context(), storetest.NewKey(t), [][]byte{[]byte("x")}), c.want)
		if most := 2; len(*requests) > most {
			t.Errorf("%s: %d requests", c.code, len(*requests))
		}
	}
	server, _ := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-ms-error-code", "AuthenticationFailed")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error><Code>AuthenticationFailed</Code><AuthenticationErrorDetail>Request date header too old: 'x'</AuthenticationErrorDetail></Error>")
	})
	wantIs(t, openURL(t, "azblob://b?account=account&endpoint="+server.URL).Put(t.Context(), storetest.NewKey(t), nil), objectstore.ErrClock)
}

func TestAzureSecretsAreNotShown(t *testing.T) {
	azureKey(t)
	for variable, value := range map[string]string{
		"AZURE_STORAGE_KEY":               "secret!not base64",
		"AZURE_STORAGE_CONNECTION_STRING": "AccountKey=secret",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, value)
			at, err := location.ParseRemote("azblob://b")
			if err != nil {
				t.Fatal(err)
			}
			if variable == "AZURE_STORAGE_KEY" {
				t.Setenv("AZURE_STORAGE_ACCOUNT", "account")
			}
			if _, err := Open(t.Context(), at); err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), variable) {
				t.Errorf("error %v, want one that names the variable alone", err)
			}
		})
	}
	t.Run("signature", func(t *testing.T) {
		t.Setenv("AZURE_STORAGE_KEY", "")
		t.Setenv("AZURE_STORAGE_SAS_TOKEN", "?sv=1&sig=secret")
		server, requests := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
			answerAzure(w, http.StatusForbidden, "AuthorizationFailure")
		})
		err := openURL(t, "azblob://b?account=account&endpoint="+server.URL).Put(t.Context(), storetest.NewKey(t), nil)
		if wantIs(t, err, objectstore.ErrDenied); strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the signature: %v", err)
		}
		if len(*requests) != 1 || (*requests)[0].URL.Query().Get("sig") != "secret" {
			t.Error("the request does not have the signature")
		}
		server.Close()
		if err = openURL(t, "azblob://b?account=account&endpoint="+server.URL).Put(t.Context(), storetest.NewKey(t), nil); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("error %v, want one without the signature", err)
		}
	})
	t.Run("no account", func(t *testing.T) {
		at, err := location.ParseRemote("azblob://b")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), at); err == nil || !strings.Contains(err.Error(), "AZURE_STORAGE_ACCOUNT") {
			t.Errorf("error %v, want it to name the variable", err)
		}
	})
}

// privateKey returns a new key of a service account.
func privateKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}
