package main

import (
	"strings"
	"testing"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/cli/clitest"
)

func TestUnknownVariableIsRefusedWithTheNearestName(t *testing.T) {
	for name, nearest := range map[string]string{
		"LANEWAY_LINGERR":  "LANEWAY_LINGER",
		"LANEWAY_DATTA":    "LANEWAY_DATA",
		"LANEWAY_NATS_URL": "LANEWAY_NATS",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "1")
			a, _, stderr := clitest.App(t)
			if code := run(a, []string{"version"}); code != cli.ExitUsage ||
				!strings.Contains(stderr.String(), name+" ") || !strings.Contains(stderr.String(), nearest+"\n") {
				t.Errorf("exit code %d, stderr:\n%s", code, stderr)
			}
		})
	}
}

func TestUnknownVariableIsNamedRatherThanTheFlagThatIsMissing(t *testing.T) {
	t.Setenv("LANEWAY_NATTS", "nats://127.0.0.1:1")
	a, _, stderr := clitest.App(t)
	if code := run(a, []string{"sequencer"}); code != cli.ExitUsage || !strings.Contains(stderr.String(), "LANEWAY_NATTS") {
		t.Errorf("exit code %d, stderr:\n%s", code, stderr)
	}
}

func TestVariablesOfOthersAreLeftAlone(t *testing.T) {
	for _, name := range []string{
		"LANEWAY_TEST_KILLS", "LANEWAY_NATS_PORT", "LANEWAY_HTTP_PORT", "LANEWAY_PORT", "LANEWAY_SERVICE_HOST",
		"LANEWAY_SERVICE_PORT", "LANEWAY_NATS_SERVICE_PORT_CLIENT", "LANEWAY_PORT_4222_TCP", "LANEWAY_NATS_PORT_4222_TCP_ADDR",
		"LANEWAYS", "MY_LANEWAY_LINGERR",
	} {
		t.Setenv(name, "tcp://10.0.0.1:4222")
	}
	a, _, stderr := clitest.App(t)
	if code := run(a, []string{"version"}); code != cli.ExitDone {
		t.Errorf("exit code %d, stderr:\n%s", code, stderr)
	}
}

func TestHelpIsPrintedInSpiteOfAnUnknownVariable(t *testing.T) {
	t.Setenv("LANEWAY_LINGERR", "1")
	a, _, _ := clitest.App(t)
	if code := run(a, []string{"serve", "--help"}); code != cli.ExitDone {
		t.Errorf("exit code %d", code)
	}
}

func TestVariableIsNamedInTheErrorsThatItCauses(t *testing.T) {
	for name, c := range map[string]struct {
		variable, value string
		args            []string
	}{
		"value that cannot be read":          {"LANEWAY_LINGER", "soon", []string{"serve"}},
		"value that is not among those":      {"LANEWAY_LOG_LEVEL", "loud", []string{"serve"}},
		"value that a command does not take": {"LANEWAY_PARTITIONS", "300", []string{"topic", "create", "orders"}},
		"value that flags do not take":       {"LANEWAY_DEADLINE", "2m", []string{"serve"}},
		"store that is not supported":        {"LANEWAY_STORE", "s3://b/x", []string{"serve"}},
		"fault that does not exist":          {"LANEWAY_FAULT", "stage.dely=1s", []string{"serve"}},
		"server that cannot be reached":      {"NATS_URL", "nats://a:secret@127.0.0.1:1", []string{"topic", "list"}},
		"address that is none":               {"LANEWAY_LISTEN", "nowhere", []string{"serve", "--data", t.TempDir(), "--http", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(c.variable, c.value)
			a, _, stderr := clitest.App(t)
			if code := run(a, c.args); code == cli.ExitDone || !strings.Contains(stderr.String(), c.variable) || strings.Contains(stderr.String(), "secret") {
				t.Errorf("exit code %d, stderr:\n%s", code, stderr)
			}
		})
	}
}

func TestVariableThatTheCommandLineOverridesIsNotBlamed(t *testing.T) {
	t.Setenv("LANEWAY_DEADLINE", "1s")
	a, _, stderr := clitest.App(t)
	if code := run(a, []string{"serve", "--deadline", "2m"}); code != cli.ExitUsage || strings.Contains(stderr.String(), "LANEWAY_DEADLINE") {
		t.Errorf("exit code %d, stderr:\n%s", code, stderr)
	}
}
