package produce

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/schollz/progressbar/v3"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/cli/clitest"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// watched is a producer's progress and what is said of it.
type watched struct {
	waiting
	out     strings.Builder // guarded by the console's mutex
	mu      sync.Mutex      // guards what follows
	summary client.Summary
	servers string
}

func newWatched() *watched {
	w := &watched{}
	w.console = &console{out: &w.out, bar: progressbar.NewOptions64(100, progressbar.OptionSetVisibility(false))}
	w.progress = func() client.Summary {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.summary
	}
	w.offline = func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.servers
	}
	return w
}

// becomes sets how far the producer is, and the servers that are not reached.
func (w *watched) becomes(records, acked int64, servers string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.summary.Records, w.summary.AckedRecords, w.summary.AckedBatches, w.servers = records, acked, acked, servers
}

// after lets time pass and returns what was said.
func (w *watched) after(elapsed time.Duration) string {
	time.Sleep(elapsed) //nolint:forbidigo // virtual
	synctest.Wait()
	w.console.mu.Lock()
	defer w.console.mu.Unlock()
	said := w.out.String()
	w.out.Reset()
	return said
}

func TestSaysWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched()
		defer w.start()()
		expect := func(elapsed time.Duration, want string) {
			t.Helper()
			if got := w.after(elapsed); got != want {
				t.Errorf("%s later: %q, want %q", elapsed, got, want)
			}
		}
		full := protocol.NewError(protocol.CodeTooManyProducers, "3 of 3")
		expect(time.Minute, "") // no input is not a delay
		w.becomes(2, 0, "")
		expect(1900*time.Millisecond, "")
		expect(400*time.Millisecond, "laneway: waiting for an acknowledgement\n")
		w.retry(0, full)
		expect(9*time.Second, "")
		expect(time.Second, "laneway: waiting, sending again: "+full.Error()+"\n")
		w.becomes(2, 0, "nats://nowhere")
		expect(10*time.Second, "laneway: waiting: not connected to NATS at nats://nowhere; trying to reconnect\n")
		w.becomes(2, 1, "")
		w.acked(client.BatchAck{})
		expect(2*time.Second, "")
		expect(time.Second, "laneway: waiting for an acknowledgement\n")
		w.becomes(2, 2, "")
		expect(time.Minute, "")
	})
}

func TestInterruptedWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched()
		w.becomes(1, 0, "")
		ctx, interrupt := context.WithCancel(context.Background())
		wait, cancel := w.patience(ctx, false)
		defer cancel()
		if said := w.after(time.Hour); said != "" || wait.Err() != nil {
			t.Errorf("said %q, %v", said, wait.Err())
		}
		interrupt()
		want := "laneway: interrupted; waiting up to 10s for answers to what was sent; interrupt again to stop at once\n"
		if said := w.after(lastAnswers - 1); said != want || wait.Err() != nil {
			t.Errorf("said %q, %v", said, wait.Err())
		}
		if w.after(1); !errors.Is(wait.Err(), context.Canceled) {
			t.Error("the wait continues past its limit")
		}

		failed, stop := w.patience(context.Background(), true)
		defer stop()
		if said := w.after(lastAnswers); said != "" || failed.Err() == nil {
			t.Errorf("after a failure: said %q, %v", said, failed.Err())
		}
		w.becomes(1, 1, "")
		_, end := w.patience(ctx, true)
		if said := w.after(1); said != "" {
			t.Errorf("with nothing to wait for: %q", said)
		}
		end()
	})
}

func TestNoticeReplacesProgressBar(t *testing.T) {
	var out strings.Builder
	screen := &console{out: &out, bar: progressbar.NewOptions64(100, progressbar.OptionSetWriter(&out), progressbar.OptionSetWidth(10))}
	if _, err := screen.Write(make([]byte, 50)); err != nil {
		t.Fatal(err)
	}
	screen.say("waiting")
	screen.close()
	screen.say("too late")
	if !regexp.MustCompile(`50%.*\r *\rlaneway: waiting\n\r* *\r*$`).MatchString(out.String()) {
		t.Errorf("%q", out.String())
	}
}

// notices is a standard error that knows when something was said.
type notices struct {
	strings.Builder // guarded by the console's mutex
	awaited         string
	said            atomic.Bool
}

func (n *notices) Write(p []byte) (int, error) {
	defer func() { n.said.Store(strings.Contains(n.String(), n.awaited)) }()
	return n.Builder.Write(p)
}

func TestProduceSaysWhatItWaitsFor(t *testing.T) {
	full := protocol.NewError(protocol.CodeTooManyProducers, "3 of 3")
	for _, flag := range []string{"--json", "--quiet"} {
		stderr := &notices{awaited: "laneway: waiting, sending again: " + full.Error() + "\n"}
		s := clitest.NewLaneway(t, 1)
		logged(s, 0)
		var started time.Time
		s.Handle(protocol.Partition{Topic: "orders"}.ProduceSubject(), func(m *nats.Msg) {
			if started.IsZero() {
				started = time.Now()
			}
			answer := protocol.EncodeErrorResponse(full)
			if stderr.said.Load() || flag == "--quiet" && time.Since(started) > waitSilence+2*waitLook {
				answer = protocol.AppendProduceAck(nil, protocol.ProduceAck{Stream: "S", Topic: "orders", Sequence: 1, Records: 1})
			}
			_ = m.Respond(answer)
		})
		a, _, _ := clitest.App(t)
		a.Stdin, a.Stderr = strings.NewReader("a\n"), stderr
		code := cli.Run(a, &grammar{}, []string{"produce", "orders", flag, "--server", s.URL})
		// If the first answer took longer than what is waited for without a word, that was said before.
		said := strings.TrimPrefix(stderr.String(), "laneway: waiting for an acknowledgement\n")
		want := stderr.awaited
		if flag == "--quiet" {
			said, want = stderr.String(), ""
		}
		if code != cli.ExitDone || said != want {
			t.Errorf("%s: exit code %d, stderr:\n%s", flag, code, stderr)
		}
	}
}
