package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	healthcheckTimeout = 5 * time.Second
	maxAnswer          = 4 << 10 // bytes of an answer that an error quotes
)

// Healthcheck requests a page, such as http://127.0.0.1:8090/readyz. It returns nil if the status
// is 2xx within 5 s, and otherwise an error with the text of the page. It is for images without a
// shell.
func Healthcheck(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("health check of %q: %w", url, err)
	}
	// A transport of its own: no connection stays open, and no proxy stands between a container and itself.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("health check: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return fmt.Errorf("health check of %s: %w", url, err)
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("health check of %s: %s: %s", url, response.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
