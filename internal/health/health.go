// Package health serves the HTTP pages for monitoring a process, /healthz, /readyz and /metrics,
// and has a client for them (Healthcheck). It serves nothing else.
package health

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// checkTimeout bounds all checks of one /readyz together. Probes commonly give up after a few seconds.
const checkTimeout = 2 * time.Second

// Check returns why something is not ready, or nil. It MUST return before the deadline of its context.
type Check func(context.Context) error

// Health is the http.Handler of the pages. It is safe for concurrent use.
type Health struct {
	pages *http.ServeMux

	mu     sync.Mutex
	checks map[string]Check
}

// New returns the pages. gatherer has the metrics; if it is nil, there is no /metrics.
func New(gatherer prometheus.Gatherer) *Health {
	h := &Health{pages: http.NewServeMux(), checks: make(map[string]Check)}
	h.pages.HandleFunc("GET /healthz", alive)
	h.pages.HandleFunc("GET /readyz", h.ready)
	if gatherer != nil {
		h.pages.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	}
	return h
}

// Register makes readiness depend on check. It replaces an earlier check with the same name.
func (h *Health) Register(name string, check Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = check
}

// Unregister removes a check. A process without checks is not ready.
func (h *Health) Unregister(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.checks, name)
}

// ServeHTTP serves the pages.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.pages.ServeHTTP(w, r) }

// Unready runs every check and returns the names and reasons of those that fail; it is empty if the
// process is ready. A process without checks has not started yet, and is not ready.
func (h *Health) Unready(ctx context.Context) map[string]string {
	h.mu.Lock()
	checks := maps.Clone(h.checks)
	h.mu.Unlock()
	if len(checks) == 0 {
		return map[string]string{"process": "still starting"}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return runAll(ctx, checks)
}

// runAll runs the checks concurrently, so that a slow one does not use the time of the others.
func runAll(ctx context.Context, checks map[string]Check) map[string]string {
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		unready = make(map[string]string)
	)
	for name, check := range checks {
		running.Go(func() {
			if err := check(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				unready[name] = err.Error()
			}
		})
	}
	running.Wait()
	return unready
}

func alive(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{"alive": true})
}

func (h *Health) ready(w http.ResponseWriter, r *http.Request) {
	unready := h.Unready(r.Context())
	if len(unready) > 0 {
		reply(w, http.StatusServiceUnavailable, map[string]any{"ready": false, "unready": unready})
		return
	}
	reply(w, http.StatusOK, map[string]any{"ready": true})
}

func reply(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// An error means that the client has disconnected.
	_ = json.NewEncoder(w).Encode(body)
}
