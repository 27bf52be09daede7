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
	total, found, err := d.sum(ctx, service, func(line string) (string, bool) {
		rest, ok := strings.CutPrefix(line, name)
		return rest, ok && rest != "" && (rest[0] == '{' || rest[0] == ' ')
	})
	if err == nil && !found {
		err = fmt.Errorf("there is no metric %s", name)
	}
	return total, err
}

// Sample returns the sum of the samples of a service whose lines begin with a
// prefix, which ends in the middle of the labels, and have a label too. It is 0
// if there is none.
func (d *Deployment) Sample(ctx context.Context, service, prefix, label string) (float64, error) {
	total, _, err := d.sum(ctx, service, func(line string) (string, bool) {
		rest, ok := strings.CutPrefix(line, prefix)
		return "{" + rest, ok && strings.Contains(rest, label)
	})
	return total, err
}

// sum adds up the samples that pick chooses; pick returns what follows the
// metric's name.
func (d *Deployment) sum(ctx context.Context, service string, pick func(line string) (string, bool)) (total float64, found bool, err error) {
	m := d.member(d.Of(service))
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.page("metrics"), http.NoBody)
	if err != nil {
		return 0, false, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, false, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		rest, ok := pick(lines.Text())
		if !ok {
			continue
		}
		if rest[0] == '{' {
			rest = rest[strings.LastIndexByte(rest, '}')+1:]
		}
		value, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, false, fmt.Errorf("sample %s: %w", lines.Text(), err)
		}
		total, found = total+v, true
	}
	return total, found, lines.Err()
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
