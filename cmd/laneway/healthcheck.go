package main

import (
	"fmt"
	"net/url"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/health"
)

type healthcheckCommand struct {
	URL string `arg:"" name:"url" help:"A page of a process that runs services, such as http://127.0.0.1:8090/readyz."`
}

// Help implements kong.HelpProvider.
func (*healthcheckCommand) Help() string {
	return `Exits with 0 if the page answers with success within 5 s.

Example:

    laneway healthcheck http://127.0.0.1:8090/readyz`
}

// Validate implements kong's check of a command.
func (c *healthcheckCommand) Validate() error {
	page, err := url.Parse(c.URL)
	if err != nil || (page.Scheme != "http" && page.Scheme != "https") || page.Host == "" {
		return fmt.Errorf("%q is not the URL of a page: it begins with http:// (or https://), such as http://127.0.0.1:8090/readyz", c.URL)
	}
	return nil
}

// Run asks for the page.
func (c *healthcheckCommand) Run(a *cli.App) error { return health.Healthcheck(a.Ctx, c.URL) }
