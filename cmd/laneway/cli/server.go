package cli

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/transport"
	"laneway.dev/pkg/client"
)

// ServePlace is what the names of instances of laneway serve begin with. No host name does.
const ServePlace = "serve/"

// ServerFlag is the flag of every command that talks to a running Laneway.
type ServerFlag struct {
	Server string `default:"nats://127.0.0.1:4222" env:"LANEWAY_SERVER,NATS_URL" placeholder:"URL" help:"The NATS servers (default: ${default})."`
}

// Connect opens a connection, which the caller closes.
func (f *ServerFlag) Connect() (*client.Client, error) { return Connect(f.Server, "--server") }

// Connect opens a connection to the NATS servers that a flag names. The caller closes it.
func Connect(servers, flag string) (*client.Client, error) {
	laneway, err := client.Connect(servers, nats.Name("laneway"))
	switch {
	case err == nil:
		return laneway, nil
	case transport.CredentialsRefused(err):
		return nil, Advise(err, CredentialsAdvice(flag))
	}
	return nil, Advise(err, "start Laneway with: laneway serve; or name its NATS server by "+flag+" or NATS_URL")
}

// AdminTimeout bounds the requests of a command that changes or shows topics.
const AdminTimeout = 30 * time.Second

// Administer calls do with a connection and a context that ends after
// AdminTimeout.
func (f *ServerFlag) Administer(a *App, do func(context.Context, *client.Client) error) error {
	return f.AdministerFor(a, AdminTimeout, do)
}

// AdministerFor is Administer with another timeout.
func (f *ServerFlag) AdministerFor(a *App, timeout time.Duration, do func(context.Context, *client.Client) error) error {
	laneway, err := f.Connect()
	if err != nil {
		return err
	}
	defer laneway.Close()
	ctx, cancel := context.WithTimeout(a.Ctx, timeout)
	defer cancel()
	if err = do(ctx, laneway); errors.Is(err, syscall.EPIPE) {
		return nil // the reader, such as head, has read what it wanted
	}
	return err
}

// CredentialsAdvice says how to give credentials for NATS by a flag.
func CredentialsAdvice(flag string) string {
	return "give credentials that NATS accepts in the URL of " + flag + " or NATS_URL: nats://USER:PASSWORD@HOST:4222, or nats://TOKEN@HOST:4222;" +
		" write special characters as %XX"
}

// Redact removes the passwords from NATS URLs, which are separated by commas, so
// that they can be printed and logged.
func Redact(servers string) string {
	redacted := strings.Split(servers, ",")
	for i, server := range redacted {
		parsed, err := url.Parse(strings.TrimSpace(server))
		switch {
		case err != nil && strings.Contains(server, "@"):
			redacted[i] = "(a URL that cannot be shown)"
		case err == nil:
			redacted[i] = parsed.Redacted()
		}
	}
	return strings.Join(redacted, ",")
}
