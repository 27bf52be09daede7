package main

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
	// waitSilence is how long produce waits without a word for an acknowledgement,
	// waitRepeat how long it then waits until it says so again.
	waitSilence = 2 * time.Second
	waitRepeat  = 10 * time.Second
	waitLook    = 250 * time.Millisecond
)

// console is standard error, on which a progress bar and notices take turns. It
// is safe for concurrent use.
type console struct {
	mu    sync.Mutex
	bar   *progressbar.ProgressBar
	out   io.Writer
	quiet bool // says nothing, or nothing any more
}

// Write shows progress.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bar.Write(p)
}

// say prints a notice. If that cannot be written there is nobody to tell.
func (c *console) say(format string, arguments ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.quiet {
		_ = c.bar.Clear()
		_, _ = fmt.Fprintf(c.out, "laneway: "+format+"\n", arguments...)
	}
}

// close takes the progress bar away; nothing is said after it.
func (c *console) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet = true
	_ = c.bar.Clear()
}

// waiting tells a person what a producer waits for.
type waiting struct {
	console  *console
	progress func() client.Summary
	offline  func() string // the servers that are not reached, or nothing
	why      atomic.Pointer[protocol.Error]
}

// retry and acked are for the options of the producer.
func (w *waiting) retry(_ int32, why *protocol.Error) { w.why.Store(why) }
func (w *waiting) acked(client.BatchAck)              { w.why.Store(nil) }

// watch says what is waited for until ctx ends.
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

// start watches until the function that it returns is called.
func (w *waiting) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { w.watch(ctx) })
	return func() { cancel(); watching.Wait() }
}

// outstanding says whether something has no acknowledgement yet.
func (w *waiting) outstanding() bool {
	s := w.progress()
	return s.AckedRecords < s.Records
}

// patience returns a context for the wait for answers, which goes on for a while
// when ctx ends, and no longer than that if something has failed already.
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
