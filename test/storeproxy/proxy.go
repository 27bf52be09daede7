// Package storeproxy is an HTTP proxy in front of an S3 server that causes the failures of real
// object stores: refused and throttled requests, broken connections, short and altered bodies,
// lost answers, late effects, and servers that ignore what they do not know.
//
// It passes requests on with their Host header, because S3 signatures cover it. It listens on
// the loopback interface only.
package storeproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Faults says what goes wrong. The zero value is a store without faults. Probabilities are from
// 0 to 1, and are drawn for each request.
type Faults struct {
	Down        bool          // connections are refused, as if the server were gone
	Throttle    float64       // 503 SlowDown, without effect
	Delay       time.Duration // before each request is passed on
	PutDelay    time.Duration // the same for puts only
	Reset       float64       // the connection breaks in the middle of a body, of a put or of an answer
	Truncate    float64       // an answer to a get is shorter than it says, with a correct status
	Flip        float64       // a bit of the body of a put or of a get is altered
	LoseAnswer  float64       // a put takes effect, and its answer is lost
	Late        float64       // a put is refused with 503, and takes effect LateBy later
	LateBy      time.Duration
	Conflict    float64 // 409 ConditionalRequestConflict to a conditional put, without effect
	Exists      float64 // 412 PreconditionFailed to a conditional put, after it took effect
	NoCondition bool    // conditions are removed, as servers do that do not know them
	Denied      bool    // 403 InvalidAccessKeyId
	Skewed      bool    // 403 RequestTimeTooSkewed
}

// Proxy is a running proxy. It is safe for concurrent use.
type Proxy struct {
	t        testing.TB
	target   string // host and port of the S3 server
	faults   atomic.Pointer[Faults]
	counts   sync.Map // of what was done, by name: *atomic.Int64
	requests atomic.Int64
	late     sync.WaitGroup
	client   *http.Client
	server   *http.Server
	address  string
}

// Start starts a proxy in front of the S3 server at target, such as 127.0.0.1:7070, until the
// test ends.
func Start(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		t: t, target: target, address: listener.Addr().String(),
		client: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	p.faults.Store(&Faults{})
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go func() { _ = p.server.Serve(listener) }() // ends with ErrServerClosed
	t.Cleanup(func() {
		_ = p.server.Close()
		p.late.Wait()
		p.client.CloseIdleConnections()
	})
	return p
}

// Endpoint returns the URL of the proxy.
func (p *Proxy) Endpoint() string { return "http://" + p.address }

// Set replaces the faults. Requests that are under way keep theirs.
func (p *Proxy) Set(f Faults) { p.faults.Store(&f) }

// Requests returns how many requests have come.
func (p *Proxy) Requests() int64 { return p.requests.Load() }

// Count returns how often a fault has befallen a request, by the name of its field in Faults.
func (p *Proxy) Count(fault string) int64 {
	if n, ok := p.counts.Load(fault); ok {
		return n.(*atomic.Int64).Load()
	}
	return 0
}

func (p *Proxy) count(fault string) {
	n, _ := p.counts.LoadOrStore(fault, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

func happens(probability float64) bool { return probability > 0 && rand.Float64() < probability }

// errBroken breaks the connection of a request.
var errBroken = errors.New("simulated: the connection breaks")

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.requests.Add(1)
	f := p.faults.Load()
	if err := p.serve(w, r, f); err != nil {
		panic(http.ErrAbortHandler) // closes the connection
	}
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, f *Faults) error {
	put := r.Method == http.MethodPut
	wait := f.Delay
	if put {
		wait += f.PutDelay
	}
	if err := sleep(r.Context(), wait); err != nil {
		return err
	}
	if f.Down {
		p.count("Down")
		return errBroken
	}
	if refused, err := p.refuseAtOnce(w, r, f); refused {
		return err
	}
	if put && happens(f.Reset) {
		p.count("Reset")
		_, _ = io.CopyN(io.Discard, r.Body, max(1, r.ContentLength/2))
		return errBroken
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if put {
		return p.put(w, r, body, f)
	}
	response, err := p.pass(r.Context(), r, body, f)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return p.answer(w, r, response, f)
}

func isConditional(r *http.Request) bool { return r.Header.Get("If-None-Match") != "" }

// refuseAtOnce refuses a request without looking at its body, if the faults say so.
func (p *Proxy) refuseAtOnce(w http.ResponseWriter, r *http.Request, f *Faults) (refused bool, err error) {
	switch {
	case f.Denied:
		p.count("Denied")
		err = refuse(w, r, http.StatusForbidden, "InvalidAccessKeyId", "The AWS access key ID that you provided does not exist in our records.")
	case f.Skewed:
		p.count("Skewed")
		err = refuse(w, r, http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the server's time is too large.")
	case happens(f.Throttle):
		p.count("Throttle")
		err = slowDown(w, r)
	case isConditional(r) && happens(f.Conflict):
		p.count("Conflict")
		err = refuse(w, r, http.StatusConflict, "ConditionalRequestConflict", "A conflicting operation occurred.")
	default:
		return false, nil
	}
	return true, err
}

// put passes a put on, with what may happen to it.
func (p *Proxy) put(w http.ResponseWriter, r *http.Request, body []byte, f *Faults) error {
	if len(body) > 0 && happens(f.Flip) {
		p.count("Flip")
		body[rand.IntN(len(body))] ^= 1 << rand.IntN(8)
	}
	if happens(f.Late) {
		p.count("Late")
		p.putLater(r, body, f)
		return slowDown(w, r)
	}
	response, err := p.pass(r.Context(), r, body, f)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	stored := response.StatusCode == http.StatusOK
	switch {
	case stored && happens(f.LoseAnswer):
		p.count("LoseAnswer")
		return errBroken
	case stored && isConditional(r) && happens(f.Exists):
		p.count("Exists")
		return refuse(w, r, http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the preconditions that you specified did not hold.")
	}
	return p.answer(w, r, response, f)
}

// putLater passes a put on after a time, whether or not its client still waits.
func (p *Proxy) putLater(r *http.Request, body []byte, f *Faults) {
	r = r.Clone(context.WithoutCancel(r.Context()))
	p.late.Go(func() {
		_ = sleep(r.Context(), f.LateBy)
		if response, err := p.pass(r.Context(), r, body, f); err == nil {
			_ = response.Body.Close()
		}
	})
}

// pass sends a request to the S3 server.
func (p *Proxy) pass(ctx context.Context, r *http.Request, body []byte, f *Faults) (*http.Response, error) {
	out, err := http.NewRequestWithContext(ctx, r.Method, "http://"+p.target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Header, out.Host, out.ContentLength = r.Header.Clone(), r.Host, int64(len(body))
	if f.NoCondition {
		out.Header.Del("If-None-Match")
	}
	return p.client.Do(out)
}

// answer passes an answer on.
func (p *Proxy) answer(w http.ResponseWriter, r *http.Request, response *http.Response, f *Faults) error {
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	get := r.Method == http.MethodGet && len(body) > 0 && response.StatusCode/100 == 2
	if get && happens(f.Flip) {
		p.count("Flip")
		body[rand.IntN(len(body))] ^= 1 << rand.IntN(8)
	}
	switch {
	case get && happens(f.Truncate):
		// The length is that of the short body, so the client cannot tell by the protocol.
		p.count("Truncate")
		body = body[:rand.IntN(len(body))]
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	case get && happens(f.Reset):
		p.count("Reset")
		w.WriteHeader(response.StatusCode)
		_, _ = w.Write(body[:len(body)/2])
		return errBroken
	}
	w.WriteHeader(response.StatusCode)
	_, err = w.Write(body)
	return err
}

// refuse answers as S3 does.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) error {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, err := fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
	return err
}

func slowDown(w http.ResponseWriter, r *http.Request) error {
	return refuse(w, r, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
