package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"laneway.dev/cmd/laneway/cli"
)

const (
	bucket    = "laneway"
	accessKey = "laneway-demo"
	s3Start   = 20 * time.Second
	s3Stop    = 5 * time.Second // after each signal
)

// s3Server is an S3 server that keeps its objects in a folder.
type s3Server struct {
	command *exec.Cmd
	address string
	log     string        // file of its output
	done    chan struct{} // closed when it has ended
}

// startS3 starts the S3 server at binary, with an empty bucket below folder, and returns when it
// answers. The command line of the server is that of versitygw.
func startS3(ctx context.Context, binary, folder string) (*s3Server, error) {
	data := filepath.Join(folder, "s3")
	if err := os.MkdirAll(filepath.Join(data, bucket), 0o700); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &s3Server{address: address, log: filepath.Join(folder, "s3.log"), done: make(chan struct{})}
	output, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	secret := rand.Text()
	if err := useCredentials(secret); err != nil {
		return nil, err
	}
	s.command = exec.Command(binary, "--port", address, "--quiet", "--health", "/health", "posix", data)
	s.command.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+accessKey, "ROOT_SECRET_ACCESS_KEY="+secret)
	s.command.Stdout, s.command.Stderr = output, output
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the terminal stops the services first
	if err := s.command.Start(); err != nil {
		return nil, fmt.Errorf("start the S3 server: %w", err)
	}
	go func() {
		defer close(s.done)
		_ = s.command.Wait() // ProcessState has the result
	}()
	if err := s.await(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// location returns the URL of the store in the bucket.
func (s *s3Server) location() cli.StoreLocation {
	return cli.StoreLocation(fmt.Sprintf("s3://%s/demo?endpoint=http://%s", bucket, s.address))
}

// await returns when the server answers.
func (s *s3Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s3Start)
	defer cancel()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for {
		err := s.answers(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-pace.C:
		case <-s.done:
			said, _ := os.ReadFile(s.log)
			return fmt.Errorf("the S3 server has ended: %s: %s", s.command.ProcessState, strings.TrimSpace(string(said)))
		case <-ctx.Done():
			return fmt.Errorf("the S3 server does not answer: %w", err)
		}
	}
}

func (s *s3Server) answers(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/health", http.NoBody)
	if err != nil {
		return err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// stop ends the server and waits for its end, by force if need be. Nothing of it is needed any more.
func (s *s3Server) stop() error {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := s.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		select {
		case <-s.done:
			return nil
		case <-time.After(s3Stop):
		}
	}
	return errors.New("the S3 server does not end")
}

// freeAddress returns an address of the loopback interface on which nothing listens.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// useCredentials makes this process use the credentials of its S3 server. Those in the environment
// and in files are for a real store.
func useCredentials(secret string) error {
	var errs []error
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			errs = append(errs, os.Unsetenv(name))
		}
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secret, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		errs = append(errs, os.Setenv(name, value))
	}
	return errors.Join(errs...)
}
