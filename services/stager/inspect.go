package stager

import (
	"context"
	"runtime"
	"sync"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/stager/core"
)

// inspector checks the compressed frames of messages before the core gets them. Frontends do
// not decompress, because their goroutine for a partition issues the tickets of all producers.
// It is safe for concurrent use.
type inspector struct {
	slots chan struct{} // bounds the frames that are decompressed at once, and their memory

	mu      sync.Mutex // guards closed and open
	closed  bool
	open    int // messages that are inspected or wait for a slot
	running sync.WaitGroup
}

func newInspector() *inspector {
	return &inspector{slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// start calls inspect and passes the result to use, both on another goroutine. It returns false
// if as many messages are open as fit into the mailbox, and after close.
func (n *inspector) start(m messages.Stage, use func(core.Inspected)) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.open == mailboxSize {
		return false
	}
	n.open++
	n.running.Go(func() {
		use(n.inspect(m))
		n.mu.Lock()
		defer n.mu.Unlock()
		n.open--
	})
	return true
}

// close returns when all inspections that have started are done, or ctx ends.
func (n *inspector) close(ctx context.Context) {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	done := make(chan struct{})
	go func() {
		n.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// needed reports whether a message has compressed frames.
func (*inspector) needed(m *messages.Stage) bool {
	for i := range m.Batches {
		if m.Batches[i].MaxRecordBytes > 0 {
			return true
		}
	}
	return false
}

// inspect decompresses each compressed frame of a message, and checks its records. It may take
// some milliseconds for each MiB.
func (n *inspector) inspect(m messages.Stage) core.Inspected {
	n.slots <- struct{}{}
	defer func() { <-n.slots }()
	inspected := core.Inspected{Stage: m, Wrong: make([]*protocol.Error, len(m.Batches))}
	for i := range m.Batches {
		if b := &m.Batches[i]; b.MaxRecordBytes > 0 {
			inspected.Wrong[i] = wrong(b)
		}
	}
	return inspected
}

// wrong returns why a compressed frame is refused, or nil.
func wrong(b *messages.StageBatch) *protocol.Error {
	records, err := protocol.CheckFrame(b.Payload, int(b.MaxRecordBytes))
	switch {
	case err != nil:
		return protocol.AsError(err)
	case records != int(b.Records):
		return protocol.Errorf(protocol.CodeMalformedBatch, "the frame has %d records, its ticket is for %d", records, b.Records)
	}
	return nil
}
