package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	core "laneway.dev/internal/core/journal"
	"laneway.dev/internal/embedded"
	"laneway.dev/internal/journal"
	"laneway.dev/pkg/messages"
)

// patience bounds every wait of a test. It is never reached unless the test fails.
const patience = time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is a server with the stream of a journal.
type rig struct {
	testing.TB
	ctx    context.Context
	data   string
	server *embedded.Server
	conn   *nats.Conn
	js     jetstream.JetStream
}

func start(t testing.TB) *rig {
	t.Helper()
	r := &rig{TB: t, data: t.TempDir()}
	var cancel context.CancelFunc
	r.ctx, cancel = context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	r.serve()
	must(t, journal.Logs.Create(r.ctx, r.js, 0, 1))
	return r
}

// serve starts the server, and connects to it.
func (r *rig) serve() {
	r.Helper()
	var err error
	r.server, err = embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: r.data})
	must(r, err)
	server := r.server
	r.Cleanup(func() { must(r, server.Shutdown()) })
	r.conn, err = r.server.Connect()
	must(r, err)
	r.Cleanup(r.conn.Close)
	r.js, err = jetstream.New(r.conn)
	must(r, err)
}

// open opens the journal as another process does.
func (r *rig) open() *journal.Journal {
	r.Helper()
	j := journal.Open(journal.Config{Conn: r.conn, JS: r.js})
	r.Cleanup(j.Close)
	return j
}

func logOf(n int) messages.LogID { return messages.LogID{TopicID: 7, Number: int32(n)} }

func section(n int, kind messages.SectionKind, entry string) messages.Section {
	return messages.Section{Log: logOf(n), Kind: kind, Entry: []byte(entry)}
}

// create begins the log of a partition.
func (r *rig) create(j *journal.Journal, n int) {
	r.Helper()
	if sequence, err := j.Append(r.ctx, 0, section(n, messages.SectionFirst, content(n, 1))); err != nil || sequence != 1 {
		r.Fatalf("the first entry has sequence %d, %v", sequence, err)
	}
}

func content(log int, sequence uint64) string { return fmt.Sprintf("%d/%d", log, sequence) }

// fill appends entries up to a sequence.
func (r *rig) fill(j *journal.Journal, n int, last, to uint64) {
	for ; last < to; last++ {
		if sequence, err := j.Append(r.ctx, last, section(n, messages.SectionNext, content(n, last+1))); err != nil || sequence != last+1 {
			r.Errorf("entry %d of log %d has sequence %d, %v", last+1, n, sequence, err)
			return
		}
	}
}

// want checks the extent of a log and reads it.
func (r *rig) want(j *journal.Journal, n int, want core.State) {
	r.Helper()
	state, exists, err := j.State(r.ctx, logOf(n))
	if state.Bytes, state.Group = 0, 0; err != nil || !exists || state != want {
		r.Fatalf("log %d is %+v, %v, %v, want %+v", n, state, exists, err, want)
	}
	entries, _, err := j.Read(r.ctx, logOf(n), want.First, 10_000)
	if err != nil || uint64(len(entries)) != want.Last-want.First+1 {
		r.Fatalf("%d entries of log %d were read, %v, want %+v", len(entries), n, err, want)
	}
	for i, e := range entries {
		if sequence := want.First + uint64(i); e.Sequence != sequence || string(e.Data) != content(n, sequence) {
			r.Fatalf("entry %d of log %d is %d, %q", sequence, n, e.Sequence, e.Data)
		}
	}
}

func (r *rig) groups() uint64 {
	r.Helper()
	stream, err := r.js.Stream(r.ctx, messages.JournalStream(0))
	must(r, err)
	return stream.CachedInfo().State.Msgs
}

func TestLogsShareAppends(t *testing.T) {
	r := start(t)
	j := r.open()
	const logs, last = 64, 20
	var wait sync.WaitGroup
	for n := range logs {
		wait.Go(func() {
			r.create(j, n)
			r.fill(j, n, 1, last)
		})
	}
	wait.Wait()
	if groups := r.groups(); groups > logs*last/4 {
		t.Errorf("%d entries are in %d groups", logs*last, groups)
	}
	other := r.open()
	for n := range logs {
		r.want(j, n, core.State{First: 1, Last: last, Begun: true})
		r.want(other, n, core.State{First: 1, Last: last, Begun: true})
	}
}

func TestOneOfSeveralWritersAppends(t *testing.T) {
	r := start(t)
	writers := []*journal.Journal{r.open(), r.open(), r.open()}
	const last = 50
	r.create(writers[0], 0)
	for sequence := uint64(1); sequence < last; sequence++ {
		results := make([]error, len(writers))
		var wait sync.WaitGroup
		for i, w := range writers {
			wait.Go(func() {
				_, results[i] = w.Append(r.ctx, sequence, section(0, messages.SectionNext, content(0, sequence+1)))
			})
		}
		wait.Wait()
		succeeded := 0
		for _, err := range results {
			switch {
			case err == nil:
				succeeded++
			case !errors.Is(err, core.ErrMoved):
				t.Fatal(err)
			}
		}
		if succeeded != 1 {
			t.Fatalf("%d of the writers have appended entry %d: %v", succeeded, sequence+1, results)
		}
	}
	for _, w := range writers {
		r.want(w, 0, core.State{First: 1, Last: last, Begun: true})
	}
}

func TestWritersOfOtherLogsDoNotDisturb(t *testing.T) {
	r := start(t)
	const last = 100
	var wait sync.WaitGroup
	for n := range 3 {
		j := r.open()
		wait.Go(func() {
			r.create(j, n)
			r.fill(j, n, 1, last)
		})
	}
	wait.Wait()
	for n := range 3 {
		r.want(r.open(), n, core.State{First: 1, Last: last, Begun: true})
	}
}

func TestSealedAndDeletedLogsTakeNoEntries(t *testing.T) {
	r := start(t)
	j, other := r.open(), r.open()
	r.create(j, 0)
	r.create(j, 1)
	for n, kind := range []messages.SectionKind{messages.SectionSealed, messages.SectionDeleted} {
		if _, _, err := other.State(r.ctx, logOf(n)); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Append(r.ctx, 0, messages.Section{Log: logOf(n), Kind: kind}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.Append(r.ctx, 1, section(0, messages.SectionNext, "late")); !errors.Is(err, core.ErrSealed) {
		t.Errorf("an append to a sealed log: %v", err)
	}
	if _, err := j.Append(r.ctx, 1, section(1, messages.SectionNext, "late")); !errors.Is(err, core.ErrNoLog) {
		t.Errorf("an append to a deleted log: %v", err)
	}
	r.want(r.open(), 0, core.State{First: 1, Last: 1, Begun: true, Stage: messages.StageSealed})
	if state, exists, err := r.open().State(r.ctx, logOf(1)); exists || err != nil {
		t.Errorf("the deleted log is %+v, %v", state, err)
	}
}

func TestJournalBeginsWhereItWasPurged(t *testing.T) {
	r := start(t)
	j := r.open()
	r.create(j, 0)
	r.create(j, 1)
	r.fill(j, 0, 1, 10)
	if _, err := j.Append(r.ctx, 1, section(1, messages.SectionAgain, content(1, 1))); err != nil {
		t.Fatal(err)
	}
	stream, err := r.js.Stream(r.ctx, messages.JournalStream(0))
	must(t, err)
	must(t, stream.Purge(r.ctx, jetstream.WithPurgeSequence(8)))
	other := r.open()
	r.want(other, 0, core.State{First: 7, Last: 10})
	r.want(other, 1, core.State{First: 1, Last: 1, Begun: true})
	r.fill(other, 0, 10, 12)
	r.fill(other, 1, 1, 3)
	r.want(r.open(), 1, core.State{First: 1, Last: 3, Begun: true})
	if entries, _, err := j.Read(r.ctx, logOf(0), 1, 100); err != nil || len(entries) != 6 || entries[0].Sequence != 7 {
		t.Errorf("%+v were read, %v, want those that are left", entries, err)
	}
}

// A group that is lost makes the logs suspect that have no entry after it. A hole in the sequences
// of a log shows that it has lost an entry.
func TestLostGroupIsNoticed(t *testing.T) {
	r := start(t)
	j := r.open()
	r.create(j, 0)
	r.create(j, 1)
	r.create(j, 2)
	r.fill(j, 0, 1, 3)
	r.fill(j, 1, 1, 2)
	stream, err := r.js.Stream(r.ctx, messages.JournalStream(0))
	must(t, err)
	must(t, stream.DeleteMsg(r.ctx, 4)) // the second entry of log 0
	other := r.open()
	for n, want := range []core.State{{First: 1, Last: 3, Begun: true}, {First: 1, Last: 2, Begun: true}, {First: 1, Last: 1, Begun: true, Suspect: true}} {
		state, exists, err := other.State(r.ctx, logOf(n))
		if state.Bytes, state.Group = 0, 0; err != nil || !exists || state != want {
			t.Errorf("log %d is %+v, %v, want %+v", n, state, err, want)
		}
	}
	if entries, _, err := other.Read(r.ctx, logOf(0), 1, 100); err != nil || len(entries) != 1 {
		t.Errorf("%d entries were read before the lost one, %v", len(entries), err)
	}
	if entries, _, err := other.Read(r.ctx, logOf(0), 3, 100); err != nil || len(entries) != 1 || entries[0].Sequence != 3 {
		t.Errorf("%+v was read after the lost one, %v", entries, err)
	}
	must(t, stream.DeleteMsg(r.ctx, 6)) // the last one
	lost := r.open()
	r.fill(lost, 2, 1, 3) // the journal goes on
	if state, _, err := lost.State(r.ctx, logOf(1)); err != nil || !state.Suspect || state.Last != 1 {
		t.Errorf("the log that has lost its end is %+v, %v", state, err)
	}
}

// An index keeps the place of an entry whose group is lost later. Reads go on behind it.
func TestReadLeavesOutWhatIsLostLater(t *testing.T) {
	r := start(t)
	j := r.open()
	r.create(j, 0) // group 1
	r.fill(j, 0, 1, 3)
	r.create(j, 1) // group 4
	r.fill(j, 0, 3, 7)
	stream, err := r.js.Stream(r.ctx, messages.JournalStream(0))
	must(t, err)
	for _, group := range []uint64{2, 3, 5, 7, 8} { // the entries 2, 3, 4, 6 and 7 of log 0
		must(t, stream.DeleteMsg(r.ctx, group))
	}
	for from, want := range map[uint64]uint64{1: 1, 2: 5, 3: 5, 4: 5, 5: 5, 6: 0, 7: 0} {
		for _, limit := range []int{1, 2, 100} {
			entries, atEnd, err := j.Read(r.ctx, logOf(0), from, limit)
			switch {
			case err != nil || atEnd != (want == 0):
				t.Errorf("from %d on, %+v were read, at the end %v, %v", from, entries, atEnd, err)
			case want == 0 && len(entries) > 0, want > 0 && (len(entries) != 1 || entries[0].Sequence != want):
				t.Errorf("from %d on, %+v were read, want %d", from, entries, want)
			}
		}
	}
}

func TestNothingIsAppendedAfterGroupOfAnotherVersion(t *testing.T) {
	r := start(t)
	j := r.open()
	r.create(j, 0)
	data := messages.EncodeGroup(messages.Group{Writer: "later", Number: 1})
	data[1] = 99
	_, err := r.js.Publish(r.ctx, messages.JournalSubject(0), data)
	must(t, err)
	ctx, cancel := context.WithTimeout(r.ctx, time.Second)
	defer cancel()
	if _, err := j.Append(ctx, 1, section(0, messages.SectionNext, "blind")); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, core.ErrMoved) {
		t.Errorf("the append ends with %v", err)
	}
	if groups := r.groups(); groups != 2 {
		t.Errorf("the journal has %d groups", groups)
	}
}

func TestCallsEndWithTheirContextWhileNATSIsAway(t *testing.T) {
	r := start(t)
	j := r.open()
	r.create(j, 0)
	must(t, r.server.Shutdown())
	ctx, cancel := context.WithTimeout(r.ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := j.Append(ctx, 1, section(0, messages.SectionNext, "lost")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the append ends with %v", err)
	}
	if _, _, err := j.State(ctx, logOf(0)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the look ends with %v", err)
	}
	j.Close()
	if _, err := j.Append(r.ctx, 1, section(0, messages.SectionNext, "late")); !errors.Is(err, core.ErrWithdrawn) {
		t.Errorf("an append after the end: %v", err)
	}
}

func TestAppendWhoseContextHasEndedIsAnsweredWhileNATSIsAway(t *testing.T) {
	r := start(t)
	j := r.open()
	r.create(j, 0)
	must(t, r.server.Shutdown())
	ended, cancel := context.WithCancel(r.ctx)
	cancel()
	const appends = 2000
	answers := make(chan error, appends)
	for range appends {
		j.AppendThen(ended, 1, section(0, messages.SectionNext, "x"), func(_ uint64, err error) { answers <- err })
	}
	for range appends {
		select {
		case err := <-answers:
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("an append ends with %v", err)
			}
		case <-r.ctx.Done():
			t.Fatal("an append has no answer")
		}
	}
}

// A group that NATS cannot carry would hold up all others.
func TestEntryAboveMaxPayloadIsRefused(t *testing.T) {
	r := start(t)
	j := r.open()
	r.create(j, 0)
	large := section(0, messages.SectionNext, "")
	large.Entry = make([]byte, r.conn.MaxPayload()-messages.MaxSectionOverhead+1)
	if _, err := j.Append(r.ctx, 1, large); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("the append ends with %v", err)
	}
	large.Entry = large.Entry[1:]
	if sequence, err := j.Append(r.ctx, 1, large); err != nil || sequence != 2 {
		t.Errorf("the largest entry has sequence %d, %v", sequence, err)
	}
}

func TestJournalWithoutAStreamIsEmpty(t *testing.T) {
	r := &rig{TB: t, data: t.TempDir(), ctx: t.Context()}
	r.serve()
	j := r.open()
	if logs, err := j.Logs(r.ctx, all); err != nil || len(logs) != 0 {
		t.Errorf("it has the logs %v, %v", logs, err)
	}
	must(t, journal.Logs.Create(r.ctx, r.js, 0, 1))
	r.create(j, 0)
	r.fill(j, 0, 1, 3)
	r.want(j, 0, core.State{First: 1, Last: 3, Begun: true})
}

// The groups of idle logs stand between those of a busy one that are not needed.
func TestIdleLogsMoveWhenAJournalIsPurged(t *testing.T) {
	r := start(t)
	j := r.open()
	const idle, last = 50, 40
	large := section(0, messages.SectionNext, "")
	large.Entry = bytes.Repeat([]byte{'x'}, 64<<10)
	r.create(j, 0)
	for n := range idle {
		r.create(j, n+1)
	}
	if _, err := j.Append(r.ctx, 0, messages.Section{Log: logOf(1), Kind: messages.SectionSealed}); err != nil {
		t.Fatal(err)
	}
	for sequence := uint64(1); sequence < last; sequence++ {
		if _, err := j.Append(r.ctx, sequence, large); err != nil {
			t.Fatal(err)
		}
	}
	stale := r.open()
	if _, err := stale.Logs(r.ctx, all); err != nil {
		t.Fatal(err)
	}
	before := r.groups()
	must(t, j.Trim(r.ctx, logOf(0), last-2))
	pace := time.NewTicker(10 * time.Millisecond) // the purge says nothing
	defer pace.Stop()
	for r.groups() > before/2 {
		select {
		case <-pace.C:
		case <-r.ctx.Done():
			t.Fatal("the journal was not purged")
		}
	}
	for _, j := range []*journal.Journal{j, stale, r.open()} {
		for n := range idle {
			stage := messages.StageOwned
			if n == 0 {
				stage = messages.StageSealed
			}
			r.want(j, n+1, core.State{First: 1, Last: 1, Begun: true, Stage: stage})
		}
		state, _, err := j.State(r.ctx, logOf(0))
		entries, atEnd, readErr := j.Read(r.ctx, logOf(0), 1, 100)
		if err != nil || readErr != nil || state.Last != last || state.First != last-2 || uint64(len(entries)) != last-state.First+1 || !atEnd {
			t.Errorf("the busy log is %+v, with %d entries, %v, %v", state, len(entries), err, readErr)
		}
	}
	r.fill(r.open(), 2, 1, 3)
	r.want(stale, 2, core.State{First: 1, Last: 3, Begun: true})
}

func all(messages.LogID, core.State) bool { return true }
