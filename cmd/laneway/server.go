package main

import (
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/transport"
	"laneway.dev/pkg/client"
)

// serverFlag is that of every command that talks to a running Laneway.
type serverFlag struct {
	Server string `default:"nats://127.0.0.1:4222" env:"LANEWAY_SERVER,NATS_URL" placeholder:"URL" help:"The NATS servers (default: ${default})."`
}

// connect opens a connection that the caller closes.
func (f *serverFlag) connect() (*client.Client, error) {
	laneway, err := client.Connect(f.Server, nats.Name("laneway"))
	switch {
	case err == nil:
		return laneway, nil
	case transport.CredentialsRefused(err):
		return nil, &advised{err: err, advice: credentialsAdvice("--server")}
	}
	return nil, &advised{
		err:    err,
		advice: "start Laneway with: laneway serve; or name its NATS server by --server or NATS_URL",
	}
}

// credentialsAdvice says how NATS is given credentials by a flag.
func credentialsAdvice(flag string) string {
	return "give credentials that NATS accepts in the URL of " + flag + " or NATS_URL: nats://USER:PASSWORD@HOST:4222, or nats://TOKEN@HOST:4222;" +
		" write special characters as %XX"
}

// redact takes passwords out of NATS URLs, which are separated by commas.
func redact(servers string) string {
	shown := strings.Split(servers, ",")
	for i, server := range shown {
		parsed, err := url.Parse(strings.TrimSpace(server))
		switch {
		case err != nil && strings.Contains(server, "@"):
			shown[i] = "(a URL that cannot be shown)"
		case err == nil:
			shown[i] = parsed.Redacted()
		}
	}
	return strings.Join(shown, ",")
}
