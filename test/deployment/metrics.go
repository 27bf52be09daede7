package deployment

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Of returns the role whose process runs a service.
func (d *Deployment) Of(service string) string {
	if d.Kind == OneProcess {
		return Serve
	}
	return service
}

// Metric returns a metric that the process of a service shows on /metrics,
// summed over its labels.
func (d *Deployment) Metric(ctx context.Context, service, name string) (float64, error) {
	m := d.member(d.Of(service))
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.page("metrics"), http.NoBody)
	if err != nil {
		return 0, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return sum(bufio.NewScanner(response.Body), name)
}

// sum adds up the samples of a metric in the text format of Prometheus.
func sum(lines *bufio.Scanner, name string) (float64, error) {
	total, found := 0.0, false
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		if rest[0] == '{' {
			rest = rest[strings.LastIndexByte(rest, '}')+1:]
		}
		value, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		total, found = total+v, true
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("there is no metric %s", name)
	}
	return total, nil
}

// MustMetric is Metric for a process that answers for sure.
func (d *Deployment) MustMetric(service, name string) float64 {
	d.t.Helper()
	v, err := d.Metric(d.t.Context(), service, name)
	if err != nil {
		d.t.Fatal(err)
	}
	return v
}

// AwaitMetric returns when a metric satisfies a condition.
func (d *Deployment) AwaitMetric(ctx context.Context, service, name string, satisfied func(float64) bool) {
	d.t.Helper()
	err := Eventually(ctx, func(ctx context.Context) error {
		v, err := d.Metric(ctx, service, name)
		if err == nil && !satisfied(v) {
			err = fmt.Errorf("%s is %v", name, v)
		}
		return err
	})
	if err != nil {
		d.t.Fatalf("%s: %v", service, err)
	}
}
