// Package s3server runs a real S3 server, versitygw on a temporary folder, for tests.
package s3server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"laneway.dev/test/machine"
)

const (
	bucket        = "laneway"
	region        = "us-east-1"
	rootAccessKey = "laneway-test"
	rootSecretKey = "laneway-test-secret"

	startTimeout = time.Minute // a busy machine is slow to start processes
)

// Server is an S3 server with one bucket. It belongs to the goroutine of a test.
type Server struct {
	Address string // on the loopback interface
	Folder  string // of the bucket: an object is a file below it

	accessKey, secretKey string // of the root user

	t       testing.TB
	log     string
	users   string // folder of the users that were added
	command *exec.Cmd
	done    chan struct{} // closed when the process has ended
}

// Start starts a server with an empty bucket. It runs until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	if _, err := os.Stat(machine.Binary("versitygw")); err != nil {
		t.Fatalf("there is no S3 server to test with; run make tools: %v", err)
	}
	folder := t.TempDir()
	s := &Server{
		Address: machine.Address(t), Folder: filepath.Join(folder, "data", bucket),
		accessKey: rootAccessKey, secretKey: rootSecretKey,
		t: t, log: filepath.Join(folder, "versitygw.log"), users: filepath.Join(folder, "users"),
	}
	for _, made := range []string{s.Folder, s.users} {
		if err := os.MkdirAll(made, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		s.Stop()
		if content, err := os.ReadFile(s.log); err == nil && t.Failed() {
			t.Logf("log of the S3 server:\n%s", content[max(0, len(content)-4096):])
		}
	})
	s.Restart()
	return s
}

// AddUser adds a user who has no rights.
func (s *Server) AddUser(accessKey, secretKey string) {
	s.t.Helper()
	command := exec.CommandContext(s.t.Context(), machine.Binary("versitygw"), "admin", "--access", rootAccessKey, "--secret", rootSecretKey,
		"--endpoint-url", s.Endpoint(), "create-user", "--access", accessKey, "--secret", secretKey, "--role", "user")
	if output, err := command.CombinedOutput(); err != nil {
		s.t.Fatalf("add a user: %v\n%s", err, output)
	}
}

// ReplaceKey stops the server and starts it again with another key of its root user. The rest of
// this package still uses the key of Environ.
func (s *Server) ReplaceKey(accessKey, secretKey string) {
	s.t.Helper()
	s.Stop()
	s.accessKey, s.secretKey = accessKey, secretKey
	s.Restart()
}

// SetPolicy sets the policy of the bucket.
func (s *Server) SetPolicy(policy string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPut, s.Endpoint()+"/"+bucket+"?policy", strings.NewReader(policy))
	if err != nil {
		s.t.Fatal(err)
	}
	Sign(s.t, request, []byte(policy), time.Now())
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if said, _ := io.ReadAll(response.Body); response.StatusCode/100 != 2 {
		s.t.Fatalf("set the policy: %s: %s", response.Status, said)
	}
}

// Sign signs a request with the credentials of Environ, as if it were at another time.
func Sign(t testing.TB, request *http.Request, body []byte, at time.Time) {
	t.Helper()
	hash := fmt.Sprintf("%x", sha256.Sum256(body))
	request.Header.Set("X-Amz-Content-Sha256", hash)
	err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: rootAccessKey, SecretAccessKey: rootSecretKey},
		request, hash, "s3", region, at)
	if err != nil {
		t.Error(err)
	}
}

// Endpoint returns the URL of the server.
func (s *Server) Endpoint() string { return "http://" + s.Address }

// Location returns the URL of a store under a prefix of the bucket.
func (s *Server) Location(prefix string) string { return Location(s.Endpoint(), prefix) }

// Location returns the URL of a store whose requests go to an endpoint, such as that of a proxy
// in front of a server.
func Location(endpoint, prefix string) string {
	return fmt.Sprintf("s3://%s/%s?endpoint=%s", bucket, prefix, endpoint)
}

// Environ returns the variables with the credentials, for processes that use the server. Files
// and the instance metadata of the machine are left out.
func Environ() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + rootAccessKey, "AWS_SECRET_ACCESS_KEY=" + rootSecretKey,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
	}
}

// Setenv sets the variables of Environ for this process, until the test ends.
func Setenv(t testing.TB) {
	for _, name := range []string{"AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"} {
		t.Setenv(name, "") // the SDK ignores empty ones
	}
	t.Setenv("AWS_ACCESS_KEY_ID", rootAccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", rootSecretKey)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
}

// Stop kills the server, as a crash would. What it has acknowledged stays.
func (s *Server) Stop() {
	if s.command == nil {
		return
	}
	if err := s.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Error(err)
	}
	<-s.done
	s.command = nil
}

// Restart starts the server, again at the same address if it was stopped, and returns when it
// answers.
func (s *Server) Restart() {
	s.t.Helper()
	output, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer output.Close()
	command := exec.Command(machine.Binary("versitygw"), "--port", s.Address, "--access", s.accessKey, "--secret", s.secretKey,
		"--quiet", "--health", "/health", "--iam-dir", s.users, "posix", filepath.Dir(s.Folder))
	command.Stdout, command.Stderr, command.SysProcAttr = output, output, machine.Attributes()
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	s.command, s.done = command, done
	go func() {
		defer close(done)
		_ = command.Wait()
	}()
	ctx, cancel := context.WithTimeout(s.t.Context(), startTimeout)
	defer cancel()
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for {
		err := s.answers(ctx)
		if err == nil {
			return
		}
		select {
		case <-pace.C:
		case <-done:
			s.t.Fatal("the S3 server has ended; its log follows")
		case <-ctx.Done():
			s.t.Fatalf("the S3 server does not answer: %v", err)
		}
	}
}

// answers returns nil if the server answers.
func (s *Server) answers(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint()+"/health", http.NoBody)
	if err != nil {
		return err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}
