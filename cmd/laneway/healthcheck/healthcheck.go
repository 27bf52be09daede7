// Package healthcheck is the command laneway healthcheck, which asks a process that runs
// services for its health. Images without a shell and without curl need it.
//
// It asks once, and never waits for a process to become healthy.
package healthcheck

import (
	"fmt"
	"net/url"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/health"
)

// Command is laneway healthcheck.
type Command struct {
	URL string `arg:"" name:"url" help:"A page of a process that runs services, such as http://127.0.0.1:8090/readyz."`
}

// Help implements kong.HelpProvider.
func (*Command) Help() string {
	return `Exits with 0 if the page answers with success within 5 s.

Example:

    laneway healthcheck http://127.0.0.1:8090/readyz`
}

// Validate implements kong's check of a command.
func (c *Command) Validate() error {
	page, err := url.Parse(c.URL)
	if err != nil || (page.Scheme != "http" && page.Scheme != "https") || page.Host == "" {
		return fmt.Errorf("%q is not the URL of a page: it begins with http:// (or https://), such as http://127.0.0.1:8090/readyz", c.URL)
	}
	return nil
}

// Run requests the page.
func (c *Command) Run(a *cli.App) error { return health.Healthcheck(a.Ctx, c.URL) }
