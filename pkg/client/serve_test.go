package client_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// laneway is a process of laneway serve for the examples. The first example builds and
// starts it.
var laneway struct {
	once    sync.Once
	url     string
	folder  string
	process *exec.Cmd
	output  chan struct{} // closed when its output has ended
}

// serverURL returns where the process listens.
func serverURL() string {
	laneway.once.Do(func() {
		if err := serve(); err != nil {
			panic(err)
		}
	})
	return laneway.url
}

func serve() (err error) {
	if laneway.folder, err = os.MkdirTemp("", "laneway-examples"); err != nil {
		return err
	}
	binary := filepath.Join(laneway.folder, "laneway")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "./cmd/laneway")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0") // as it is shipped
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	laneway.process = exec.Command(binary, "serve", "--listen", "127.0.0.1:0", "--http", "",
		"--data", filepath.Join(laneway.folder, "data"), "--log-format", "json")
	log, err := laneway.process.StderrPipe()
	if err != nil {
		return err
	}
	if err := laneway.process.Start(); err != nil {
		return err
	}
	laneway.output = make(chan struct{})
	laneway.url, err = awaitReady(log)
	go func() {
		defer close(laneway.output)
		_, _ = io.Copy(io.Discard, log)
	}()
	return err
}

// awaitReady reads the log until the process is ready, and returns its URL.
func awaitReady(log io.Reader) (string, error) {
	lines := bufio.NewScanner(log)
	var said string
	for lines.Scan() {
		var entry struct{ Msg, NATS string }
		if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "ready" {
			return entry.NATS, nil
		}
		said += lines.Text() + "\n"
	}
	return "", fmt.Errorf("laneway serve did not become ready: %s", said)
}

// stopServing stops the process, if there is one, and removes its data.
func stopServing() error {
	if laneway.folder == "" {
		return nil
	}
	defer os.RemoveAll(laneway.folder)
	if laneway.output == nil {
		return nil // it was not started
	}
	if err := laneway.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-laneway.output
	return laneway.process.Wait()
}
