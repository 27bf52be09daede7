package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/cli/clitest"
)

func TestRejectsValueOutOfRange(t *testing.T) {
	produce, create, consume := []string{"produce", "orders"}, []string{"topic", "create", "orders"}, []string{"consume", "orders"}
	update, serve := []string{"topic", "update", "orders"}, []string{"serve"}
	for _, c := range []struct {
		command           []string
		flag, value, says string
	}{
		{consume, "--count", "0", "from 1 to"},
		{consume, "--count", "-1", "from 1 to"},
		{create, "--partitions", "0", "from 1 to"},
		{create, "--partitions", "4097", "1 to 4096"},
		{create, "--max-record-bytes", "0", "at least 1 byte"},
		{create, "--max-record-bytes", "-1", "not a size"},
		{create, "--max-record-bytes", "5MiB", "1 to 4.0 MiB"},
		{create, "--producer-expiry", "9m59s", "10m to 8760h"},
		{create, "--max-producers", "1000001", "1 to 1000000"},
		{update, "--max-record-bytes", "5MiB", "1 to 4.0 MiB"},
		{update, "--producer-expiry", "9m59s", "10m to 8760h"},
		{update, "--max-producers", "1000001", "1 to 1000000"},
		{update, "--compression", "gzip", "none, s2, zstd"},
		{update, "--partitions", "2", "cannot be changed"},
		{update, "--replicas", "2", "cannot be changed"},
		{produce, "--name", strings.Repeat("x", 129), "129 bytes"},
		{produce, "--name", "", "it is empty"},
		{produce, "--name", "a\xff", "not UTF-8"},
		{produce, "--in-flight", "0", "from 1 to"},
		{produce, "--in-flight", "6", "1 to 5"},
		{produce, "--batch-bytes", "0", "at least 1 byte"},
		{produce, "--batch-bytes", "5MiB", "1 to 4.0 MiB"},
		{create, "--retention-age", "100000d", "to 36500d"},
		{create, "--retention-age", "900000d", "at most 36500d"},
		{create, "--retention-age", "1d12h", "days are not combined with other units"},
		{create, "--retention-age", "1.5d", "a whole number of days"},
		{create, "--retention-bytes", "20EiB", "below 8EiB"},
		{create, "--retention-bytes", "1", "0 and 64 KiB or more"},
		{update, "--retention-age", "100000d", "to 36500d"},
		{update, "--retention-bytes", "1", "0 and 64 KiB or more"},
		{serve, "--archiver-bytes", "1KiB", "64MiB and more"},
		{serve, "--sweep-interval", "1ms", "0s and 1s or more"},
		{serve, "--replicas", "2", "1, 3 or 5"},
		{serve, "--replicas", "0", "1, 3 or 5"},
		{[]string{"sequencer", "--nats", "nats://127.0.0.1:4222"}, "--replicas", "four", "1, 3 or 5"},
		{create, "--replicas", "6", "1 to 5"},
		{serve, "--uploads", "0", "from 1 to"},
		{serve, "--object-bytes", "0", "at least 1 byte"},
		{serve, "--object-batches", "0", "from 1 to"},
		{serve, "--max-fetches", "0", "from 1 to"},
		{serve, "--heartbeat", "0s", "longer than 0"},
		{serve, "--deadline", "0s", "longer than 0"},
		{serve, "--deadline", "2m", "up to 1m"},
		{serve, "--stage-timeout", "0s", "longer than 0"},
		{serve, "--append-timeout", "0s", "longer than 0"},
		{serve, "--stop-timeout", "0s", "longer than 0"},
		{serve, "--linger", "-1s", "not a duration"},
	} {
		a, _, stderr := clitest.App(t)
		code := run(a, append(append([]string{}, c.command...), c.flag, c.value))
		if code != cli.ExitUsage || !strings.Contains(stderr.String(), c.flag) || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%s %s: exit code %d, stderr:\n%s", c.flag, c.value, code, stderr)
		}
	}
}

func TestLingerMayBeZero(t *testing.T) {
	if c := mustParse(t, "serve", "--linger", "0"); c.Serve.Linger == nil || *c.Serve.Linger != 0 {
		t.Errorf("linger is %v", c.Serve.Linger)
	}
}

func TestHealthcheckRejectsURLWithoutScheme(t *testing.T) {
	for _, page := range []string{"foo", "127.0.0.1:8090/readyz", "localhost:8090/readyz", "http://"} {
		a, _, stderr := clitest.App(t)
		if code := run(a, []string{"healthcheck", page}); code != cli.ExitUsage || !strings.Contains(stderr.String(), "http://") {
			t.Errorf("%q: exit code %d, stderr:\n%s", page, code, stderr)
		}
	}
}

func TestRejectsUnsupportedStoreFirst(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for _, args := range [][]string{
		{"serve", "--listen", "127.0.0.1:0", "--http", "", "--data", data, "--store", "ftp://bucket/prefix"},
		{"stager", "--nats", "nats://127.0.0.1:1", "--store", "ftp://bucket/prefix"},
		{"frontend", "--nats", "nats://127.0.0.1:1", "--store", "file://host/relative"},
	} {
		a, _, stderr := clitest.App(t)
		if code := run(a, args); code != cli.ExitUsage || !strings.Contains(stderr.String(), "object store") {
			t.Errorf("%q: exit code %d, stderr:\n%s", args, code, stderr)
		}
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("the data folder was made: %v", err)
	}
}

func TestRejectsUnknownVariable(t *testing.T) {
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

func TestUnknownVariableBeforeMissingFlag(t *testing.T) {
	t.Setenv("LANEWAY_NATTS", "nats://127.0.0.1:1")
	a, _, stderr := clitest.App(t)
	if code := run(a, []string{"sequencer"}); code != cli.ExitUsage || !strings.Contains(stderr.String(), "LANEWAY_NATTS") {
		t.Errorf("exit code %d, stderr:\n%s", code, stderr)
	}
}

func TestIgnoresForeignVariables(t *testing.T) {
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

func TestHelpDespiteUnknownVariable(t *testing.T) {
	t.Setenv("LANEWAY_LINGERR", "1")
	a, _, _ := clitest.App(t)
	if code := run(a, []string{"serve", "--help"}); code != cli.ExitDone {
		t.Errorf("exit code %d", code)
	}
}

func TestErrorNamesVariable(t *testing.T) {
	for name, c := range map[string]struct {
		variable, value string
		args            []string
	}{
		"value that cannot be read":          {"LANEWAY_LINGER", "soon", []string{"serve"}},
		"value that is not among those":      {"LANEWAY_LOG_LEVEL", "loud", []string{"serve"}},
		"value that a command does not take": {"LANEWAY_PARTITIONS", "5000", []string{"topic", "create", "orders"}},
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

func TestErrorOmitsOverriddenVariable(t *testing.T) {
	t.Setenv("LANEWAY_DEADLINE", "1s")
	a, _, stderr := clitest.App(t)
	if code := run(a, []string{"serve", "--deadline", "2m"}); code != cli.ExitUsage || strings.Contains(stderr.String(), "LANEWAY_DEADLINE") {
		t.Errorf("exit code %d, stderr:\n%s", code, stderr)
	}
}
