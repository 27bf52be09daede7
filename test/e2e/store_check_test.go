package e2e

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"laneway.dev/test/deployment"
	"laneway.dev/test/machine"
	"laneway.dev/test/s3server"
)

// storeProblem is an object store that Laneway cannot use.
type storeProblem struct {
	location string
	env      []string // instead of that of the test server's root user
}

// wrongStores have what is wrong with an object store, and what laneway store check must say
// about it. Where versitygw can have the problem, it has it; "answered" is a server that gives
// the answer of AWS' documentation to every request, and "in between" is a proxy in front of
// versitygw.
var wrongStores = map[string]struct {
	make func(t *testing.T) storeProblem
	// says are parts of the report. The first one is the cause of all steps that fail.
	says []string
}{
	"no such bucket": {func(t *testing.T) storeProblem {
		return storeProblem{location: "s3://nothing/p?endpoint=" + s3server.Start(t).Endpoint()}
	}, []string{"the bucket or container does not exist", "what does not work: put, altered put, list\n"}},

	"denied put": {func(t *testing.T) storeProblem {
		return storeProblem{limitedServer(t, "GetObject", "DeleteObject", "ListBucket").Location("p"), limited}
	}, []string{"the right s3:PutObject is missing", "what does not work: put, altered put\n"}},
	"denied get": {func(t *testing.T) storeProblem {
		return storeProblem{limitedServer(t, "PutObject", "DeleteObject", "ListBucket").Location("p"), limited}
	}, []string{"the right s3:GetObject is missing", "what does not work: ranged read\n"}},
	"denied list": {func(t *testing.T) storeProblem {
		return storeProblem{limitedServer(t, "GetObject", "PutObject", "DeleteObject").Location("p"), limited}
	}, []string{"the right s3:ListBucket (on the bucket itself) is missing", "what does not work: list\n"}},
	"denied delete": {func(t *testing.T) storeProblem {
		return storeProblem{limitedServer(t, "GetObject", "PutObject", "ListBucket").Location("p"), limited}
	}, []string{"the right s3:DeleteObject is missing", "what does not work: delete\n"}},
	// AWS answers 403 instead of 404 to those who may not list. versitygw does not.
	"denied list, in between": {func(t *testing.T) storeProblem {
		server := limitedServer(t, "GetObject", "PutObject", "DeleteObject")
		return storeProblem{s3server.Location(before(t, server, (*httptest.Server).Start, &httputil.ReverseProxy{ModifyResponse: hideMissing}), "p"), limited}
	}, []string{
		"the right s3:ListBucket (on the bucket itself) is missing", "what does not work: list\n",
		"whether it has a marker cannot be seen without the right to list objects",
	}},

	"wrong region": {func(t *testing.T) storeProblem {
		return storeProblem{location: s3server.Start(t).Location("p") + "&region=eu-west-1"}
	}, []string{"the bucket is in another region", `expecting "us-east-1"`}},
	"wrong region, answered": {func(t *testing.T) storeProblem {
		return answered(t, http.StatusMovedPermanently, http.Header{"X-Amz-Bucket-Region": {"eu-west-1"}}, "PermanentRedirect",
			"The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.")
	}, []string{"the bucket is in the region eu-west-1", "what to do: name it in the URL: region=eu-west-1"}},

	"nothing listens": {func(t *testing.T) storeProblem {
		return storeProblem{location: s3server.Location("http://"+machine.Address(t), "p")}
	}, []string{"the store does not answer", "connection refused", "what to do: check the endpoint in the URL"}},
	"unknown host": {func(*testing.T) storeProblem {
		return storeProblem{location: s3server.Location("http://store.invalid:7070", "p")}
	}, []string{"the store does not answer", "lookup store.invalid", "what to do: check the endpoint in the URL"}},
	"endpoint of NATS": {func(t *testing.T) storeProblem {
		return storeProblem{location: s3server.Location(strings.Replace(deployment.StartNATS(t, ""), "nats:", "http:", 1), "p")}
	}, []string{"the store does not answer", "malformed HTTP", "what to do: check the endpoint in the URL"}},
	"endpoint of Laneway's pages": {func(t *testing.T) storeProblem {
		d := deployment.Start(t, deployment.OneProcess, deployment.Options{})
		return storeProblem{location: s3server.Location(strings.TrimSuffix(d.Page(deployment.Serve, ""), "/"), "p")}
	}, []string{"the answer does not come from an object store", "what to do: correct the endpoint in the URL"}},
	"endpoint of a server that welcomes everything": {func(t *testing.T) storeProblem {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<!DOCTYPE html><html><body>Welcome</body></html>")
		}))
		t.Cleanup(server.Close)
		return storeProblem{location: s3server.Location(server.URL, "p")}
	}, []string{"the answer does not come from an object store", "what to do: correct the endpoint in the URL"}},

	// versitygw knows no session tokens.
	"expired token, answered": {func(t *testing.T) storeProblem {
		p := answered(t, http.StatusBadRequest, nil, "ExpiredToken", "The provided token has expired.")
		p.env = []string{"AWS_SESSION_TOKEN=a-token-of-yesterday"}
		return p
	}, []string{"the credentials have expired", "The provided token has expired.", "what to do: renew them"}},
	"unknown key": {func(t *testing.T) storeProblem {
		return storeProblem{s3server.Start(t).Location("p"), limited}
	}, []string{"the store does not accept the credentials", "does not exist in our records"}},
	"wrong secret": {func(t *testing.T) storeProblem {
		return storeProblem{s3server.Start(t).Location("p"), []string{"AWS_SECRET_ACCESS_KEY=wrong"}}
	}, []string{"the store does not accept the credentials", "signature"}},
	"no credentials": {func(t *testing.T) storeProblem {
		return storeProblem{s3server.Start(t).Location("p"), []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="}}
	}, []string{"no valid credentials were found", "what to do: see docs/stores.md"}},

	// The proxy signs each request again, as if it had been made 20 minutes ago.
	"wrong clock, in between": {func(t *testing.T) storeProblem {
		server := s3server.Start(t)
		return storeProblem{location: s3server.Location(before(t, server, (*httptest.Server).Start, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			body, err := io.ReadAll(r.In.Body)
			if err != nil {
				t.Error(err)
			}
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Body = "http", server.Address, io.NopCloser(bytes.NewReader(body))
			s3server.Sign(t, r.Out, body, time.Now().Add(-20*time.Minute))
		}}), "p")}
	}, []string{"the clock of this machine differs too much from that of the store", "what to do: set the clock"}},

	"unknown certificate, in between": {func(t *testing.T) storeProblem {
		return storeProblem{location: s3server.Location(before(t, s3server.Start(t), (*httptest.Server).StartTLS, &httputil.ReverseProxy{}), "p")}
	}, []string{"no trusted connection can be made", "certificate signed by unknown authority", "what to do: check the endpoint; if its certificate"}},
	"https to a server without TLS": {func(t *testing.T) storeProblem {
		return storeProblem{location: s3server.Location("https://"+s3server.Start(t).Address, "p")}
	}, []string{"the server does not use TLS", "what to do: write http:// instead of https://"}},
}

// answered is a server that gives the same answer of S3 to all requests.
func answered(t *testing.T, status int, header http.Header, code, message string) storeProblem {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		maps.Copy(w.Header(), header)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message><RequestId>1</RequestId></Error>`, code, message)
	}))
	t.Cleanup(server.Close)
	return storeProblem{location: s3server.Location(server.URL, "p")}
}

// limited are the credentials of a user who does not have all rights.
var limited = []string{"AWS_ACCESS_KEY_ID=limited", "AWS_SECRET_ACCESS_KEY=limited-secret"}

// limitedServer returns an S3 server whose user "limited" has only some rights.
func limitedServer(t *testing.T, rights ...string) *s3server.Server {
	t.Helper()
	server := s3server.Start(t)
	server.AddUser("limited", "limited-secret")
	server.SetPolicy(fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": ["limited"]},
		"Action": ["s3:%s"], "Resource": ["arn:aws:s3:::laneway", "arn:aws:s3:::laneway/*"]}]}`, strings.Join(rights, `", "s3:`)))
	return server
}

// before starts a proxy in front of an S3 server and returns its URL.
func before(t *testing.T, server *s3server.Server, start func(*httptest.Server), proxy *httputil.ReverseProxy) string {
	t.Helper()
	if proxy.Rewrite == nil {
		proxy.Rewrite = func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", server.Address
			r.Out.Host = r.In.Host // it is signed
		}
	}
	front := httptest.NewUnstartedServer(proxy)
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail
	start(front)
	t.Cleanup(front.Close)
	return front.URL
}

// hideMissing turns the answer that an object does not exist into the one that AWS gives to those
// who may not list.
func hideMissing(r *http.Response) error {
	if r.StatusCode != http.StatusNotFound {
		return nil
	}
	const denied = `<Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::123456789012:user/limited is not authorized to perform: s3:ListBucket</Message></Error>`
	err := r.Body.Close()
	r.StatusCode, r.Body, r.ContentLength = http.StatusForbidden, io.NopCloser(strings.NewReader(denied)), int64(len(denied))
	r.Header.Set("Content-Length", strconv.Itoa(len(denied)))
	return err
}

func TestStoreCheckNamesTheCause(t *testing.T) {
	t.Parallel()
	for name, c := range wrongStores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, problem := within(t, time.Minute), c.make(t)
			command := exec.CommandContext(ctx, machine.Binary("laneway"), "store", "check", problem.location)
			command.Env = append(s3server.Environ(), problem.env...)
			code, report, err := deployment.ExitCode(command)
			if err != nil || code != 1 {
				t.Errorf("exit code %d, %v", code, err)
			}
			for _, part := range c.says {
				if !strings.Contains(report, part) {
					t.Errorf("the report lacks %q", part)
				}
			}
			// No step has another cause.
			for _, step := range regexp.MustCompile(`(?m)^  (?:put|altered put|second put|ranged read|list|delete) .*$`).FindAllString(report, -1) {
				if !regexp.MustCompile(` (works|not tried|fails for the same reason)\b`).MatchString(step) && !strings.Contains(step, c.says[0]) {
					t.Errorf("another cause: %s", step)
				}
			}
			if t.Failed() {
				t.Log(report)
			}
		})
	}
}

func TestStoreCheckSucceedsWithTheLeastRights(t *testing.T) {
	t.Parallel()
	server := limitedServer(t, "PutObject", "GetObject", "DeleteObject", "ListBucket")
	command := exec.CommandContext(within(t, time.Minute), machine.Binary("laneway"), "store", "check", server.Location("p"))
	command.Env = append(s3server.Environ(), limited...)
	code, report, err := deployment.ExitCode(command)
	if err != nil || code != 0 || !strings.Contains(report, "Laneway can use this store") {
		t.Errorf("exit code %d, %v:\n%s", code, err, report)
	}
}
