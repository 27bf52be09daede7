package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/storetest"
)

// useKeyFile makes a service account with this server for tokens the default credentials.
func useKeyFile(t *testing.T, tokens string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.json")
	text := fmt.Sprintf(`{"type":"service_account","client_email":"a@b","private_key_id":"1","private_key":%q,"token_uri":%q}`, privateKey(t), tokens)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
}

func TestAGSRequestEndsWithItsContextWhileATokenIsAwaited(t *testing.T) {
	asked, release := make(chan struct{}, 1), make(chan struct{})
	tokens, _ := serve(t, false, func(http.ResponseWriter, *http.Request) { asked <- struct{}{}; <-release })
	useKeyFile(t, tokens.URL)
	store := openURL(t, "gs://b")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- store.Put(ctx, storetest.NewKey(t), [][]byte{[]byte("x")}) }()
	<-asked
	go func() { ended <- store.Put(ctx, storetest.NewKey(t), [][]byte{[]byte("x")}) }()
	cancel()
	for range 2 {
		select {
		case err := <-ended:
			wantIs(t, err, context.Canceled)
		case <-time.After(10 * time.Second):
			t.Error("a put waits for a token after its context has ended")
		}
	}
	close(release)
}

// roundTrip is a server for tokens within the test.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAGSTokenThatHangsIsRequestedAgain(t *testing.T) {
	useKeyFile(t, "http://tokens.invalid")
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		tokens := newGSTokens(nil)
		tokens.client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if requests++; requests == 1 {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return nil, errors.New("the second request")
		})
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := tokens.token(ctx)
		if wantIs(t, err, context.DeadlineExceeded); time.Since(began) != time.Second {
			t.Errorf("a request waits for %v beyond its deadline of 1s", time.Since(began))
		}
		_, err = tokens.token(t.Context())
		if wantIs(t, (&store{bucket: &gsBucket{}}).classify(err), objectstore.ErrUnreachable); time.Since(began) != credentialsTimeout {
			t.Errorf("a request without a deadline fails after %v, want %v", time.Since(began), credentialsTimeout)
		}
		if _, err = tokens.token(t.Context()); err == nil || requests != 2 {
			t.Errorf("%d requests for a token, want a second one (%v)", requests, err)
		}
	})
}
