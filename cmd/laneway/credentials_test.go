package main

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/cli/clitest"
)

// guardedNATS runs a NATS server that accepts one user, and returns its address.
func guardedNATS(t *testing.T) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, Username: "alice", Password: "secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("NATS does not start")
	}
	return strings.TrimPrefix(s.ClientURL(), "nats://")
}

func TestRefusedCredentialsSayWhatNATSSaidAndHowTheyAreGiven(t *testing.T) {
	address := guardedNATS(t)
	for name, args := range map[string][]string{
		"topic list with a wrong password": {"topic", "list", "--server", "nats://alice:guess@" + address},
		"topic list without credentials":   {"topic", "list", "--server", "nats://" + address},
		"sequencer with a wrong password":  {"sequencer", "--nats", "nats://alice:guess@" + address},
	} {
		t.Run(name, func(t *testing.T) {
			a, _, stderr := clitest.App(t)
			code := run(a, args)
			said := strings.ToLower(stderr.String())
			if code != cli.ExitFailed || !strings.Contains(said, "authorization violation") || !strings.Contains(said, "nats://user:password@host") {
				t.Errorf("exit code %d, stderr:\n%s", code, stderr)
			}
			if strings.Contains(said, "guess") || strings.Contains(said, "laneway serve") {
				t.Errorf("stderr shows the password, or advises to start Laneway:\n%s", stderr)
			}
		})
	}
}
