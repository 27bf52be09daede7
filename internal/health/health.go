// Package health serves the HTTP pages by which others watch a process: /healthz, /readyz and
// /metrics, and asks for them (Healthcheck). It serves nothing else.
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

// Check returns why something is not ready, or nil. It must heed the deadline of its context.
type Check func(context.Context) error

// Health is the http.Handler of the pages. It is safe for concurrent use.
type Health struct {
	pages *http.ServeMux

	mu     sync.Mutex
	checks map[string]Check
}

// New serves the metrics of gatherer; without one there is no /metrics.
func New(gatherer prometheus.Gatherer) *Health {
	h := &Health{pages: http.NewServeMux(), checks: make(map[string]Check)}
	h.pages.HandleFunc("GET /healthz", alive)
	h.pages.HandleFunc("GET /readyz", h.ready)
	if gatherer != nil {
		h.pages.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	}
	return h
}

// Register makes readiness depend on check. A second check of the same name takes the place of the first.
func (h *Health) Register(name string, check Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = check
}

// ServeHTTP serves the pages.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.pages.ServeHTTP(w, r) }

// Unready runs every check and returns what is not ready and why; it is empty when all is ready.
// A process that has not registered anything has not started yet.
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

// runAll runs the checks side by side, so that a slow one does not take the time of the others.
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
	// An error here is a client that has gone away.
	_ = json.NewEncoder(w).Encode(body)
}
