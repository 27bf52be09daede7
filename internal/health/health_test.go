package health

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	s, err := Serve(t.Context(), "127.0.0.1:0", handler, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return "http://" + s.Addr()
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

func TestReadyOnlyWhenEveryCheckIs(t *testing.T) {
	h := New(nil)
	url := serve(t, h)
	var down error
	steps := []struct {
		name    string
		do      func()
		status  int
		unready map[string]string
	}{
		{"nothing registered", func() {}, 503, map[string]string{"process": "still starting"}},
		{"one is ready", func() { h.Register("nats", func(context.Context) error { return nil }) }, 200, nil},
		{"one of two is not", func() {
			down = errors.New("rebuilding orders/0")
			h.Register("replicator", func(context.Context) error { return down })
		}, 503, map[string]string{"replicator": "rebuilding orders/0"}},
		{"both are", func() { down = nil }, 200, nil},
	}
	for _, step := range steps {
		step.do()
		status, body := get(t, url+"/readyz")
		var answer struct {
			Ready   bool              `json:"ready"`
			Unready map[string]string `json:"unready"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(err)
		}
		if status != step.status || answer.Ready != (status == 200) {
			t.Errorf("%s: %d %s", step.name, status, body)
		}
		if diff := cmp.Diff(step.unready, answer.Unready); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
		if status, _ := get(t, url+"/healthz"); status != 200 {
			t.Errorf("%s: /healthz is %d", step.name, status)
		}
	}
}

func TestSlowCheckIsGivenUpAndDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(nil)
		for _, name := range []string{"a", "b"} {
			h.Register(name, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		}
		h.Register("c", func(context.Context) error { return nil })
		began := time.Now()
		unready := h.Unready(t.Context())
		if took := time.Since(began); took != checkTimeout {
			t.Errorf("took %s", took)
		}
		want := map[string]string{"a": context.DeadlineExceeded.Error(), "b": context.DeadlineExceeded.Error()}
		if diff := cmp.Diff(want, unready); diff != "" {
			t.Error(diff)
		}
	})
}

func TestMetricsPage(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "laneway_test_total", Help: "x"})
	registry.MustRegister(counter)
	counter.Inc()
	if status, body := get(t, serve(t, New(registry))+"/metrics"); status != 200 || !strings.Contains(body, "laneway_test_total 1") {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := get(t, serve(t, New(nil))+"/metrics"); status != 404 {
		t.Errorf("without a registry: %d", status)
	}
}

func TestPortInUseIsSaid(t *testing.T) {
	addr := strings.TrimPrefix(serve(t, New(nil)), "http://")
	_, err := Serve(t.Context(), addr, New(nil), zaptest.NewLogger(t))
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), addr) {
		t.Errorf("Serve: %v", err)
	}
}

func TestEmptyAddressServesNothing(t *testing.T) {
	s, err := Serve(t.Context(), "", New(nil), zaptest.NewLogger(t))
	if err != nil || s.Addr() != "" {
		t.Fatalf("Serve: %v, on %q", err, s.Addr())
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestShutdownFinishesTheRequestUnderWay(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s, err := Serve(t.Context(), "127.0.0.1:0", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-leave
	}), zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	answered, closed := make(chan error, 1), make(chan error, 1)
	go func() { answered <- Healthcheck(context.Background(), "http://"+s.Addr()+"/x") }()
	<-entered
	go func() { closed <- s.Shutdown(context.Background()) }()
	close(leave)
	if err := <-answered; err != nil {
		t.Errorf("the request was cut off: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestShutdownCutsOffWhatOutlivesItsDeadline(t *testing.T) {
	entered := make(chan struct{})
	s, err := Serve(t.Context(), "127.0.0.1:0", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}), zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- Healthcheck(context.Background(), "http://"+s.Addr()+"/x") }()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-answered; err == nil {
		t.Error("the request was answered")
	}
}

func TestHealthcheckTellsWhatThePageSays(t *testing.T) {
	h := New(nil)
	url := serve(t, h)
	if err := Healthcheck(t.Context(), url+"/healthz"); err != nil {
		t.Errorf("/healthz: %v", err)
	}
	h.Register("nats", func(context.Context) error { return errors.New("disconnected") })
	err := Healthcheck(t.Context(), url+"/readyz")
	if err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "disconnected") {
		t.Errorf("/readyz: %v", err)
	}
	for _, bad := range []string{"127.0.0.1:8090", "file:///etc/passwd", "http://127.0.0.1:1/", ""} {
		if err := Healthcheck(t.Context(), bad); err == nil {
			t.Errorf("Healthcheck(%q) succeeded", bad)
		}
	}
}
