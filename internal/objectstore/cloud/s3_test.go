package cloud

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/location"
	"laneway.dev/internal/objectstore/storetest"
	"laneway.dev/internal/selftest"
)

// isolate hides the AWS configuration of the user, and sets credentials.
func isolate(t *testing.T) {
	t.Helper()
	unsetenv(t, "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "credentials"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
}

// openAt opens the bucket b of a server.
func openAt(t *testing.T, endpoint string) objectstore.Store {
	t.Helper()
	at, err := location.ParseRemote("s3://b/p?endpoint=" + endpoint)
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

// captured is a request as a server has received it.
type captured struct {
	*http.Request
	body []byte
}

// serve starts a server that answers all requests with one handler, and returns its requests.
func serve(t *testing.T, secure bool, answer http.HandlerFunc) (*httptest.Server, *[]captured) {
	t.Helper()
	var requests []captured
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		requests = append(requests, captured{r, body})
		answer(w, r)
	}))
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server, &requests
}

// stored answers a put that has taken effect.
func stored(w http.ResponseWriter, _ *http.Request) { w.Header().Set("ETag", `"0123"`) }

func TestAnS3PutIsOneConditionalRequestWithASignedHash(t *testing.T) {
	for _, size := range []int{0, 1, 5 << 20, 64 << 20} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, TLS %v", size, secure), func(t *testing.T) {
				isolate(t)
				server, requests := serve(t, secure, stored)
				if secure {
					trust(t, server)
				}
				half := bytes.Repeat([]byte("x"), size/2)
				parts, key := [][]byte{half, half, make([]byte, size%2)}, storetest.NewKey(t)
				if err := openAt(t, server.URL).Below("c1").Put(t.Context(), key, parts); err != nil {
					t.Fatal(err)
				}
				if len(*requests) != 1 {
					t.Fatalf("%d requests, want one", len(*requests))
				}
				request := (*requests)[0]
				if request.Method != http.MethodPut || request.URL.Path != "/b/p/c1/"+key || request.ContentLength != int64(size) {
					t.Errorf("%s %s of %d bytes", request.Method, request.URL, request.ContentLength)
				}
				sum := sha256.Sum256(bytes.Join(parts, nil))
				for header, want := range map[string]string{
					"X-Amz-Content-Sha256": hex.EncodeToString(sum[:]),
					"If-None-Match":        "*",
					"Expect":               "",
					"Content-Encoding":     "",
				} {
					if got := request.Header.Get(header); got != want {
						t.Errorf("header %s is %q, want %q", header, got, want)
					}
				}
				for header := range request.Header {
					if strings.Contains(header, "Checksum") || header == "X-Amz-Trailer" {
						t.Errorf("the request has the header %s, which some servers reject", header)
					}
				}
				signed := request.Header.Get("Authorization")
				if !strings.Contains(signed, "if-none-match;") || !strings.Contains(signed, "x-amz-content-sha256;") || !strings.Contains(signed, "/us-east-1/s3/") {
					t.Errorf("the signature covers %s", signed)
				}
				if sum != sha256.Sum256(request.body) {
					t.Error("the body differs from the parts")
				}
			})
		}
	}
}

func TestTheHashOfAnAlteredS3PutIsWrong(t *testing.T) {
	isolate(t)
	server, requests := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
		answerS3(w, http.StatusBadRequest, "XAmzContentSHA256Mismatch", "")
	})
	store := openAt(t, server.URL).Below("c1").(selftest.AlteredPutter)
	wantIs(t, store.PutAltered(t.Context(), storetest.NewKey(t)), objectstore.ErrDigest)
	if len(*requests) != 1 {
		t.Fatalf("%d requests, want one", len(*requests))
	}
	request := (*requests)[0]
	if sum := sha256.Sum256(request.body); len(request.body) == 0 || hex.EncodeToString(sum[:]) == request.Header.Get("X-Amz-Content-Sha256") {
		t.Errorf("%q was sent with its own hash", request.body)
	}
}

// trust lets the SDK accept the certificate of a server, as an operator would.
func trust(t *testing.T, server *httptest.Server) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", file)
}

// answerS3 answers with an error, without a body if it has no code.
func answerS3(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	if code != "" {
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
	}
}

// unsetenv removes variables until the test ends.
func unsetenv(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		t.Setenv(name, "") // restores it afterwards
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestS3ErrorsHaveTheirCause(t *testing.T) {
	isolate(t)
	for _, c := range []struct {
		status        int
		code, message string
		want          error
	}{
		{412, "PreconditionFailed", "", objectstore.ErrExists},
		{409, "ConditionalRequestConflict", "", objectstore.ErrConflict},
		{404, "NoSuchBucket", "", objectstore.ErrNoBucket},
		{503, "SlowDown", "", objectstore.ErrThrottled},
		{429, "", "", objectstore.ErrThrottled},
		{503, "ServiceUnavailable", "", objectstore.ErrUnreachable},
		{500, "InternalError", "", objectstore.ErrUnreachable},
		{502, "", "", objectstore.ErrUnreachable},
		{400, "RequestTimeout", "", objectstore.ErrUnreachable},
		{403, "AccessDenied", "", objectstore.ErrDenied},
		{403, "", "", objectstore.ErrDenied},
		{403, "InvalidAccessKeyId", "", objectstore.ErrCredentials},
		{403, "SignatureDoesNotMatch", "", objectstore.ErrCredentials},
		{400, "ExpiredToken", "", objectstore.ErrCredentials},
		{400, "ExpiredToken", "", objectstore.ErrExpired},
		{403, "RequestTimeTooSkewed", "", objectstore.ErrClock},
		{301, "PermanentRedirect", "", objectstore.ErrRegion},
		{301, "", "", objectstore.ErrRegion},
		{400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-west-1'", objectstore.ErrRegion},
		{400, "AuthorizationHeaderMalformed", "the credential is malformed", objectstore.ErrCredentials},
		{400, "BadDigest", "", objectstore.ErrDigest},
		{400, "XAmzContentSHA256Mismatch", "", objectstore.ErrDigest},
		{507, "", "", objectstore.ErrFull},
	} {
		t.Run(fmt.Sprint(c.status, c.code), func(t *testing.T) {
			server, _ := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://127.0.0.1:1/") // which is not followed
				answerS3(w, c.status, c.code, c.message)
			})
			key := storetest.NewKey(t)
			err := openAt(t, server.URL).Put(t.Context(), key, [][]byte{[]byte("x")})
			if wantIs(t, err, c.want); err != nil && !strings.Contains(err.Error(), key) {
				t.Errorf("the error does not name the object: %v", err)
			}
			for _, other := range []error{objectstore.ErrExists, objectstore.ErrDenied, objectstore.ErrUnreachable} {
				if !errors.Is(c.want, other) && errors.Is(err, other) {
					t.Errorf("error %v is also %v", err, other)
				}
			}
		})
	}
	for name, c := range map[string]struct {
		status        int
		content, body string
	}{
		"a page that is not found":       {404, "text/plain", "404 page not found"},
		"nothing is found":               {404, "", ""},
		"a method that is not supported": {405, "text/html", "<html></html>"},
		"a proxy that forbids":           {403, "text/html", "<html></html>"},
		"a redirect to a login":          {302, "", ""},
		"plain HTTP to a TLS server":     {400, "text/plain", "Client sent an HTTP request to an HTTPS server."},
		"everything is welcome":          {200, "text/html", "<html></html>"},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{c.content}
				w.Header().Set("Location", "/login")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			err := openAt(t, server.URL).Put(t.Context(), storetest.NewKey(t), [][]byte{[]byte("x")})
			wantIs(t, err, objectstore.ErrNoStore)
			if errors.Is(err, objectstore.ErrDenied) || objectstore.Passing(err) {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("the region is named", func(t *testing.T) {
		server, _ := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Bucket-Region", "eu-west-1")
			answerS3(w, http.StatusMovedPermanently, "PermanentRedirect", "")
		})
		err := openAt(t, server.URL).Put(t.Context(), storetest.NewKey(t), nil)
		if region, ok := errors.AsType[*objectstore.RegionError](err); !ok || region.Region != "eu-west-1" || !errors.Is(err, objectstore.ErrRegion) {
			t.Errorf("error %v, want the region", err)
		}
	})
	t.Run("404 of a server without objects", func(t *testing.T) {
		server, _ := serve(t, false, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
		if _, err := openAt(t, server.URL).ReadRange(t.Context(), storetest.NewKey(t), 0, 1); err == nil || errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("error %v, want one that does not call the object missing", err)
		}
	})
	t.Run("501", func(t *testing.T) {
		server, _ := serve(t, false, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotImplemented) })
		if err := openAt(t, server.URL).Put(t.Context(), storetest.NewKey(t), nil); err == nil || errors.Is(err, objectstore.ErrUnreachable) {
			t.Errorf("error %v, want one that does not call the store unreachable", err)
		}
	})
}

func TestConnectionErrorsHaveTheirCause(t *testing.T) {
	isolate(t)
	plain, _ := serve(t, false, func(http.ResponseWriter, *http.Request) {})
	secure, _ := serve(t, true, func(http.ResponseWriter, *http.Request) {})
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	cut, _ := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.Close()
		}
	})
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for name, c := range map[string]struct {
		endpoint string
		want     error
	}{
		"nothing listens":      {"http://" + gone.Addr().String(), objectstore.ErrUnreachable},
		"no such host":         {"http://nothing.invalid:1", objectstore.ErrUnreachable},
		"closed by the server": {cut.URL, objectstore.ErrUnreachable},
		"unknown certificate":  {secure.URL, objectstore.ErrTLS},
		"a server without TLS": {strings.Replace(plain.URL, "http:", "https:", 1), objectstore.ErrTLS},
	} {
		t.Run(name, func(t *testing.T) {
			wantIs(t, openAt(t, c.endpoint).Put(t.Context(), storetest.NewKey(t), nil), c.want)
		})
	}
}

func TestAStoreThatHangsIsUnreachableAtTheDeadline(t *testing.T) {
	isolate(t)
	stop := make(chan struct{})
	server, _ := serve(t, false, func(http.ResponseWriter, *http.Request) { <-stop })
	defer close(stop)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := openAt(t, server.URL).Put(ctx, storetest.NewKey(t), nil)
	wantIs(t, err, objectstore.ErrUnreachable)
	wantIs(t, err, context.DeadlineExceeded)
}

func TestANewConnectionIsUsedOnRequest(t *testing.T) {
	isolate(t)
	server, requests := serve(t, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-2/3")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, "abc")
	})
	store, key := openAt(t, server.URL), storetest.NewKey(t)
	for _, ctx := range []context.Context{t.Context(), t.Context(), objectstore.WithNewConnection(t.Context())} {
		if _, err := store.ReadRange(ctx, key, 0, 3); err != nil {
			t.Fatal(err)
		}
	}
	all := *requests
	if all[1].RemoteAddr != all[0].RemoteAddr || all[2].RemoteAddr == all[1].RemoteAddr {
		t.Errorf("the connections are %s, %s and %s", all[0].RemoteAddr, all[1].RemoteAddr, all[2].RemoteAddr)
	}
}

func TestReplacedCredentialsAreReadAgain(t *testing.T) {
	isolate(t)
	unsetenv(t, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
	write := func(id string) {
		text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = s\n", id)
		if err := os.WriteFile(os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server, requests := serve(t, false, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "Credential=NEW/") {
			answerS3(w, http.StatusForbidden, "InvalidAccessKeyId", "")
			return
		}
		stored(w, r)
	})
	write("OLD")
	store := openAt(t, server.URL)
	wantIs(t, store.Put(t.Context(), storetest.NewKey(t), nil), objectstore.ErrCredentials)
	write("NEW")
	if err := store.Put(t.Context(), storetest.NewKey(t), nil); err != nil {
		t.Error(err)
	}
	if len(*requests) != 4 {
		t.Errorf("%d requests, want two for each put", len(*requests))
	}
}

func TestMissingConfigurationIsNamed(t *testing.T) {
	isolate(t)
	at, err := location.ParseRemote("s3://b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), at); err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("error %v, want it to name the region", err)
	}
	unsetenv(t, "AWS_ACCESS_KEY_ID")
	store := openAt(t, "http://127.0.0.1:1")
	wantIs(t, store.Put(t.Context(), storetest.NewKey(t), nil), objectstore.ErrNoCredentials)
}
