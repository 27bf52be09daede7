// Package stores tests object stores against real servers.
package stores

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/storetest"
	"laneway.dev/internal/selftest"
	"laneway.dev/internal/stores"
	"laneway.dev/test/s3server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, location string) objectstore.Store {
	t.Helper()
	store, err := stores.Open(t.Context(), location, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func TestS3ServerIsAStore(t *testing.T) {
	s3server.Setenv(t)
	server := s3server.Start(t)
	count := 0
	storetest.Run(t, func(t *testing.T) objectstore.Store {
		count++
		return open(t, server.Location(fmt.Sprintf("test/%d", count)))
	})
}

func TestS3ServerPassesTheSelfTest(t *testing.T) {
	s3server.Setenv(t)
	findings, err := selftest.Run(t.Context(), open(t, s3server.Start(t).Location("p")))
	if err != nil {
		t.Fatal(err)
	}
	altered := false
	for _, finding := range findings {
		altered = altered || finding.Step == selftest.Altered
		if finding.Err != nil || finding.Lacks != "" || finding.Skipped {
			t.Errorf("%s: %v %s", finding.Step, finding.Err, finding.Lacks)
		}
	}
	if !altered {
		t.Error("no put with a wrong hash was tried")
	}
}

func TestAReplacedKeyInAFileIsUsed(t *testing.T) {
	for name, next := range map[string]struct{ key, secret string }{
		"another key":                        {"another-key", "another-secret"},
		"another secret of the same key":     {"first-key", "another-secret"},
		"another key with the former secret": {"another-key", "first-secret"},
	} {
		t.Run(name, func(t *testing.T) {
			s3server.Setenv(t)
			t.Setenv("AWS_ACCESS_KEY_ID", "")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "")
			file := filepath.Join(t.TempDir(), "credentials")
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
			server := s3server.Start(t)
			use := func(key, secret string) {
				t.Helper()
				content := fmt.Sprintf("[default]\naws_access_key_id=%s\naws_secret_access_key=%s\n", key, secret)
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				server.ReplaceKey(key, secret)
			}
			use("first-key", "first-secret")
			store, key := open(t, server.Location("p")), storetest.NewKey(t)
			if err := store.Put(t.Context(), key, [][]byte{[]byte("before")}); err != nil {
				t.Fatal(err)
			}
			use(next.key, next.secret)
			if content, err := store.ReadRange(t.Context(), key, 0, 6); err != nil || string(content) != "before" {
				t.Errorf("%q is read, %v", content, err)
			}
			if err := store.Put(t.Context(), storetest.NewKey(t), [][]byte{[]byte("after")}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAListOfManyPagesIsWhole(t *testing.T) {
	s3server.Setenv(t)
	store := open(t, s3server.Start(t).Location("p")).Below("c1")
	const count = 1200 // a page has 1,000
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			for range count / 16 {
				if err := store.Put(t.Context(), storetest.NewKey(t), [][]byte{[]byte("x")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	seen := make(map[string]bool)
	for object, err := range store.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		seen[object.Key] = true
	}
	if len(seen) != count {
		t.Errorf("%d objects are listed, want %d", len(seen), count)
	}
}

func TestWrongConfigurationIsNamed(t *testing.T) {
	s3server.Setenv(t)
	server := s3server.Start(t)
	endpoint := "?endpoint=" + server.Endpoint()
	for name, c := range map[string]struct {
		location string
		secret   string
		key      string
		want     error
	}{
		"no such bucket":  {"s3://nothing/p" + endpoint, "", "", objectstore.ErrNoBucket},
		"unknown key":     {server.Location("p"), "", "unknown", objectstore.ErrCredentials},
		"wrong secret":    {server.Location("p"), "wrong", "", objectstore.ErrCredentials},
		"wrong region":    {server.Location("p") + "&region=eu-west-1", "", "", objectstore.ErrRegion},
		"TLS":             {s3server.Location("https://"+server.Address, "p"), "", "", objectstore.ErrTLS},
		"nothing listens": {s3server.Location("http://127.0.0.1:1", "p"), "", "", objectstore.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			if c.secret != "" {
				t.Setenv("AWS_SECRET_ACCESS_KEY", c.secret)
			}
			if c.key != "" {
				t.Setenv("AWS_ACCESS_KEY_ID", c.key)
			}
			err := open(t, c.location).Put(t.Context(), storetest.NewKey(t), [][]byte{[]byte("x")})
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestObjectsSurviveTheEndOfTheServer(t *testing.T) {
	s3server.Setenv(t)
	server := s3server.Start(t)
	store, key := open(t, server.Location("p")).Below("c1"), storetest.NewKey(t)
	if err := store.Put(t.Context(), key, [][]byte{[]byte("x")}); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if _, err := store.ReadRange(t.Context(), key, 0, 1); !errors.Is(err, objectstore.ErrUnreachable) {
		t.Errorf("without a server: %v, want ErrUnreachable", err)
	}
	server.Restart()
	if content, err := store.ReadRange(t.Context(), key, 0, 1); err != nil || string(content) != "x" {
		t.Errorf("%q is read (%v)", content, err)
	}
	if _, err := os.Stat(filepath.Join(server.Folder, "p", "c1", filepath.FromSlash(key))); err != nil {
		t.Error(err)
	}
}

// BenchmarkPut compares a put into a folder with one to an S3 server on the same disk.
func BenchmarkPut(b *testing.B) {
	s3server.Setenv(b)
	content := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	for name, location := range map[string]string{"folder": b.TempDir(), "s3": s3server.Start(b).Location("p")} {
		b.Run(name, func(b *testing.B) {
			store := open(b, location)
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				key, err := objectstore.NewKey(time.Now(), nil)
				if err == nil {
					err = store.Put(b.Context(), key, [][]byte{content})
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
