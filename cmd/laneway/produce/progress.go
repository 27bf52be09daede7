package produce

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

const (
	// waitSilence is how long produce waits for an acknowledgement before it says so,
	// and waitRepeat is the interval at which it repeats that.
	waitSilence = 2 * time.Second
	waitRepeat  = 10 * time.Second
	// waitLook is the interval at which it looks for acknowledgements.
	waitLook = 250 * time.Millisecond
)

// console is standard error, which a progress bar and notices share. It is safe for
// concurrent use.
type console struct {
	mu    sync.Mutex
	bar   *progressbar.ProgressBar
	out   io.Writer
	quiet bool // notices are not printed, because of --quiet or after close
}

// Write adds the length of p to the progress bar.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bar.Write(p)
}

// say prints a notice in place of the progress bar. An error of that write is ignored,
// because there is no other place to report it.
func (c *console) say(format string, arguments ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.quiet {
		_ = c.bar.Clear()
		_, _ = fmt.Fprintf(c.out, "laneway: "+format+"\n", arguments...)
	}
}

// close removes the progress bar. No notice is printed after it.
func (c *console) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet = true
	_ = c.bar.Clear()
}

// waiting says on the console what a producer waits for.
type waiting struct {
	console  *console
	progress func() client.Summary
	offline  func() string                  // the servers that cannot be reached; empty while connected
	why      atomic.Pointer[protocol.Error] // of the last retry; nil after an acknowledgement
}

// retry and acked are callbacks of the producer.
func (w *waiting) retry(_ int32, why *protocol.Error) { w.why.Store(why) }
func (w *waiting) acked(client.BatchAck)              { w.why.Store(nil) }

// watch looks for acknowledgements until ctx ends, and says what the producer waits for
// when there are none for a while.
func (w *waiting) watch(ctx context.Context) {
	look := time.NewTicker(waitLook)
	defer look.Stop()
	acks, next := int64(0), time.Now().Add(waitSilence)
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		switch s := w.progress(); {
		case s.AckedBatches > acks || s.AckedRecords == s.Records:
			acks, next = s.AckedBatches, time.Now().Add(waitSilence)
		case !time.Now().Before(next):
			next = time.Now().Add(waitRepeat)
			w.console.say("waiting%s", w.reason())
		}
	}
}

func (w *waiting) reason() string {
	if servers := w.offline(); servers != "" {
		return ": not connected to NATS at " + servers + "; trying to reconnect"
	}
	if why := w.why.Load(); why != nil {
		return ", sending again: " + why.Error()
	}
	return " for an acknowledgement"
}

// start calls watch in another goroutine, which the returned function stops.
func (w *waiting) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { w.watch(ctx) })
	return func() { cancel(); watching.Wait() }
}

// outstanding reports whether a record is not acknowledged yet.
func (w *waiting) outstanding() bool {
	s := w.progress()
	return s.AckedRecords < s.Records
}

// patience returns a context for the wait for answers. It ends lastAnswers after ctx, so
// that an interrupted command still learns what is in the log; if something has failed
// already, it ends lastAnswers from now.
func (w *waiting) patience(ctx context.Context, failed bool) (context.Context, context.CancelFunc) {
	wait, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if failed {
		wait, cancel = context.WithTimeout(context.WithoutCancel(ctx), lastAnswers)
	}
	stop := context.AfterFunc(ctx, func() {
		if w.outstanding() {
			w.console.say("interrupted; waiting up to %s for answers to what was sent; interrupt again to stop at once", lastAnswers)
		}
		select {
		case <-time.After(lastAnswers):
		case <-wait.Done():
		}
		cancel()
	})
	return wait, func() { stop(); cancel() }
}
