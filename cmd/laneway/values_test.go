package main

import (
	"strings"
	"testing"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/cli/clitest"
)

func TestValueOutOfRangeIsRefusedByTheNameOfItsFlag(t *testing.T) {
	produce, create, consume := []string{"produce", "orders"}, []string{"topic", "create", "orders"}, []string{"consume", "orders"}
	serve := []string{"serve"}
	for _, c := range []struct {
		command           []string
		flag, value, says string
	}{
		{consume, "--count", "0", "from 1 to"},
		{consume, "--count", "-1", "from 1 to"},
		{create, "--partitions", "0", "from 1 to"},
		{create, "--partitions", "257", "1 to 256"},
		{create, "--max-record-bytes", "0", "at least 1 byte"},
		{create, "--max-record-bytes", "-1", "not a size"},
		{create, "--max-record-bytes", "5MiB", "1 to 4.0 MiB"},
		{create, "--producer-expiry", "9m59s", "10m to 8760h"},
		{create, "--max-producers", "1000001", "1 to 1000000"},
		{produce, "--name", strings.Repeat("x", 129), "129 bytes"},
		{produce, "--name", "", "it is empty"},
		{produce, "--name", "a\xff", "not UTF-8"},
		{produce, "--in-flight", "0", "from 1 to"},
		{produce, "--in-flight", "6", "1 to 5"},
		{produce, "--batch-bytes", "0", "at least 1 byte"},
		{produce, "--batch-bytes", "5MiB", "1 to 4.0 MiB"},
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

func TestNoLingerIsAllowed(t *testing.T) {
	if c := mustParse(t, "serve", "--linger", "0"); c.Serve.Linger != 0 {
		t.Errorf("linger is %d", c.Serve.Linger)
	}
}

func TestPageWithoutASchemeIsWrongUsage(t *testing.T) {
	for _, page := range []string{"foo", "127.0.0.1:8090/readyz", "localhost:8090/readyz", "http://"} {
		a, _, stderr := clitest.App(t)
		if code := run(a, []string{"healthcheck", page}); code != cli.ExitUsage || !strings.Contains(stderr.String(), "http://") {
			t.Errorf("%q: exit code %d, stderr:\n%s", page, code, stderr)
		}
	}
}
