package partitionlog_test

import (
	"bufio"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
)

func TestPurgeRemovesTheEntriesBelowASequence(t *testing.T) {
	s, log := created(t, 8)
	for _, below := range []uint64{0, 1, 4, 4, 3, 9} {
		must(t, log.Purge(s.ctx, below))
		state, err := log.State(s.ctx)
		must(t, err)
		first := map[uint64]uint64{0: 1, 1: 1, 4: 4, 3: 4, 9: 9}[below]
		if state.FirstSequence != first || state.LastSequence != 9 || state.NextOffset != 16 {
			t.Fatalf("purged below %d: %+v", below, state)
		}
	}
	entries, _, err := log.Read(s.ctx, 1, 5)
	must(t, err)
	if len(entries) != 1 || entries[0].Sequence != 9 {
		t.Errorf("read are %+v", entries)
	}
	if sequence, err := log.Append(s.ctx, 9, messages.EncodeEntry(entry(16, 1))); err != nil || sequence != 10 {
		t.Errorf("appended is entry %d, %v", sequence, err)
	}
}

func TestPurgeBeyondTheEndRemovesNothing(t *testing.T) {
	s, log := created(t, 2)
	if err := log.Purge(s.ctx, 4); !contains(err, "it ends with 3") {
		t.Errorf("error is %v", err)
	}
	if state, err := log.State(s.ctx); err != nil || state.FirstSequence != 1 || state.LastSequence != 3 {
		t.Errorf("the log is %+v, %v", state, err)
	}
}

// process is a server that can be killed.
type process struct {
	server
	command *exec.Cmd
}

func startProcess(t *testing.T, folder string) *process {
	t.Helper()
	p := &process{command: exec.Command(os.Args[0])}
	p.command.Env = append(os.Environ(), serverFolder+"="+folder)
	p.command.Stderr = os.Stderr
	_, err := p.command.StdinPipe() // it ends with this process
	must(t, err)
	out, err := p.command.StdoutPipe()
	must(t, err)
	must(t, p.command.Start())
	t.Cleanup(func() { _ = p.command.Process.Kill() })
	url, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	p.conn, err = nats.Connect(strings.TrimSpace(url), nats.NoReconnect())
	must(t, err)
	t.Cleanup(p.conn.Close)
	p.js, err = jetstream.New(p.conn)
	must(t, err)
	var cancel context.CancelFunc
	p.ctx, cancel = context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return p
}

// kill ends the process without letting it write anything.
func (p *process) kill(t *testing.T) {
	t.Helper()
	must(t, p.command.Process.Kill())
	_ = p.command.Wait()
	p.conn.Close()
}

// A server is killed while entries are appended and others are purged. It may come back with
// any first sequence that a purge has asked for, and has all entries from there on that were
// acknowledged. A journal may be purged later than a purge of a log.
func TestKilledServerLosesNothingButWhatWasPurged(t *testing.T) {
	folder := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	p := startProcess(t, folder)
	must(t, p.log(partition).Create(p.ctx, 1, 0))
	appended, purged := uint64(1), uint64(1)
	for range 5 {
		log := p.log(partition)
		var acked, asked atomic.Uint64
		acked.Store(appended)
		asked.Store(purged)
		killAt := appended + 50 + rng.Uint64N(150)
		appends, purges := make(chan struct{}), make(chan uint64)
		go func() {
			defer close(appends)
			for last := appended; ; last++ {
				n := entry(int64(last), 1)
				n.Batches[0].MessageID = strings.Repeat("x", 100<<10) // so that the stream has several blocks
				ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
				_, err := log.Append(ctx, last, messages.EncodeEntry(n))
				cancel()
				if err != nil {
					return // the server is gone
				}
				acked.Store(last + 1)
			}
		}()
		go func() {
			done := purged
			for {
				below := done + rng.Uint64N(acked.Load()-done+1)
				asked.Store(below)
				ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
				err := log.Purge(ctx, below)
				cancel()
				if err != nil {
					break
				}
				done = below
			}
			purges <- done
		}()
		pace := time.NewTicker(time.Millisecond)
		for acked.Load() < killAt {
			select {
			case <-pace.C:
			case <-p.ctx.Done():
				t.Fatalf("appended are %d entries of %d", acked.Load(), killAt)
			}
		}
		pace.Stop()
		p.kill(t)
		<-appends
		done := <-purges

		p = startProcess(t, folder)
		state, err := p.log(partition).State(p.ctx)
		must(t, err)
		if state.Damage != nil || state.LastSequence < acked.Load() || state.LastSequence > acked.Load()+1 {
			t.Fatalf("the log is %+v, entry %d was acknowledged", state, acked.Load())
		}
		if state.FirstSequence > max(done, asked.Load()) || state.Entries != state.LastSequence+1-state.FirstSequence {
			t.Fatalf("the log is %+v, purged was below %d, asked was for %d", state, done, asked.Load())
		}
		next := state.FirstSequence
		must(t, p.log(partition).Walk(p.ctx, next, state.LastSequence, func(e messages.LoggedEntry) error {
			next++
			return nil
		}, func(m partitionlog.Missing) error {
			t.Errorf("missing is %+v in %+v", m, state)
			return nil
		}))
		if next != state.LastSequence+1 {
			t.Errorf("the last entry that was read is %d of %d", next-1, state.LastSequence)
		}
		t.Logf("killed after %d entries, the log begins with %d; purged was below %d, asked was for %d", state.LastSequence, state.FirstSequence, done, asked.Load())
		appended, purged = state.LastSequence, state.FirstSequence
	}
	p.kill(t)
}
