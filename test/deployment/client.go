package deployment

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/machine"
)

// Connect opens a connection of a user. It reconnects for as long as the test
// runs, and keeps nothing through a disconnect: what was not sent is known.
func (d *Deployment) Connect(options ...nats.Option) *nats.Conn {
	d.t.Helper()
	own := []nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ReconnectBufSize(-1), nats.Timeout(10 * time.Second),
	}
	conn, err := nats.Connect(d.URL(), append(own, options...)...)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(conn.Close)
	return conn
}

// AwaitConnected returns when a connection is there again.
func (d *Deployment) AwaitConnected(ctx context.Context, conn *nats.Conn) {
	d.t.Helper()
	err := Eventually(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return conn.FlushWithContext(ctx)
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// CreateTopic makes a topic with one partition.
func (d *Deployment) CreateTopic(conn *nats.Conn, name string) protocol.Topic {
	d.t.Helper()
	response := d.api(conn, "create", protocol.TopicConfig{Name: name})
	if response.Error != nil || response.Topic == nil {
		d.t.Fatalf("create topic %s: %v", name, response.Error)
	}
	return *response.Topic
}

// DeleteTopic removes a topic.
func (d *Deployment) DeleteTopic(conn *nats.Conn, name string) {
	d.t.Helper()
	if response := d.api(conn, "delete", protocol.TopicRequest{Name: name}); response.Error != nil {
		d.t.Fatalf("delete topic %s: %v", name, response.Error)
	}
}

func (d *Deployment) api(conn *nats.Conn, operation string, request any) protocol.TopicResponse {
	d.t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.t.Context()), startTimeout) // also in a cleanup
	defer cancel()
	answer, err := conn.RequestWithContext(ctx, protocol.TopicAPI+operation, body)
	if err != nil {
		d.t.Fatalf("topic %s: %v", operation, err)
	}
	var response protocol.TopicResponse
	if err := json.Unmarshal(answer.Data, &response); err != nil {
		d.t.Fatalf("topic %s: %v in %s", operation, err, answer.Data)
	}
	return response
}

// Laneway returns a run of the command line that talks to the deployment.
func (d *Deployment) Laneway(ctx context.Context, args ...string) *exec.Cmd {
	return d.tool(ctx, machine.Binary("laneway"), args...)
}

// NATSCommand returns a run of NATS' own command line.
func (d *Deployment) NATSCommand(ctx context.Context, args ...string) *exec.Cmd {
	return d.tool(ctx, machine.Binary("nats"), args...)
}

// Shell returns a run of a shell command that finds laneway and talks to the
// deployment.
func (d *Deployment) Shell(ctx context.Context, command string) *exec.Cmd {
	return d.tool(ctx, "/bin/sh", "-c", command)
}

func (d *Deployment) tool(ctx context.Context, name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, name, args...)
	command.Env = append(environment("LANEWAY_", "NATS_", "OTEL_", "PATH=", "HOME="),
		"NATS_URL="+d.URL(), "HOME="+d.folder, "PATH="+filepath.Dir(machine.Binary("laneway"))+":/usr/bin:/bin")
	command.Dir = d.folder
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	return command
}

// Output runs a command that must succeed and returns its standard output.
func (d *Deployment) Output(command *exec.Cmd, stdin io.Reader) string {
	d.t.Helper()
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = stdin, &stdout, &stderr
	if err := command.Run(); err != nil {
		d.t.Fatalf("%s: %v\n%s", strings.Join(command.Args, " "), err, stderr.String())
	}
	return stdout.String()
}

// ExitCode runs a command and returns its exit code with all that it printed.
func ExitCode(command *exec.Cmd) (code int, output string, err error) {
	content, err := command.CombinedOutput()
	if command.ProcessState == nil {
		return 0, "", fmt.Errorf("run %s: %w", command.Path, err)
	}
	return command.ProcessState.ExitCode(), string(content), nil
}
