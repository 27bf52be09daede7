package client_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

func TestResumesAfterSilence(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	o := f.options()
	o.Silence, o.Retries = 50*time.Millisecond, math.MaxInt
	r := read(t, c.Consumer(o).Records(bounded(t)))
	m := next(t, f.fetches)
	for ; request(t, m).Offset == nil; m = next(t, f.fetches) { // repeated if the answer was late
		f.send(m, 0, 2)
	}
	wantOffset(t, m, 3)
	r.want(t, 0, 2)
	for ended := false; !ended; {
		if *request(t, m).Offset == 3 {
			f.send(m, 2, 4) // a batch that starts before the wanted offset
		} else {
			wantOffset(t, m, 5)
		}
		f.status(m, protocol.StatusEnd, 5)
		select {
		case m = <-f.fetches: // the answer, or half of it, was late
		case err := <-r.err:
			r.err <- err
			ended = true
		case <-time.After(patience):
			t.Fatal("nothing was received")
		}
	}
	r.want(t, 3, 4)
	r.ended(t)
}

func TestHeartbeatsAreAnswered(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	o := f.options()
	o.Silence = time.Hour
	r := read(t, c.Consumer(o).Records(bounded(t)))
	m := next(t, f.fetches)
	for range 100 {
		f.status(m, protocol.StatusHeartbeat, 0)
		next(t, f.credits)
	}
	f.status(m, protocol.StatusEnd, 0)
	r.ended(t)
	if len(f.fetches) > 0 {
		t.Error("requested again")
	}
}

func TestRetriesTemporaryError(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	r := read(t, c.Consumer(f.options()).Records(bounded(t)))
	f.failFetch(next(t, f.fetches), protocol.NewError(protocol.CodeTooManyFetches, ""))
	m := next(t, f.fetches)
	if request(t, m).From != protocol.FromEarliest {
		t.Errorf("requested %s", m.Data)
	}
	f.send(m, 0, 0)
	f.failFetch(m, protocol.NewError(protocol.CodeCreditTimeout, ""))
	m = next(t, f.fetches)
	wantOffset(t, m, 1)
	f.status(m, protocol.StatusEnd, 1)
	r.want(t, 0, 0)
	r.ended(t)
}

func TestPersistentErrorIsReturned(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	o := f.options()
	o.Retries = 1
	r := read(t, c.Consumer(o).Records(bounded(t)))
	for range 2 {
		f.failFetch(next(t, f.fetches), protocol.NewError(protocol.CodeUnavailable, "no leader"))
	}
	want := protocol.NewError(protocol.CodeUnavailable, "no leader")
	if text := r.failed(t, want); !strings.HasSuffix(text, ": "+want.Error()) {
		t.Errorf("error %s", text)
	}
}

func TestFatalErrorIsReturnedAtOnce(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	r := read(t, c.Consumer(f.options()).Records(bounded(t)))
	f.failFetch(next(t, f.fetches), protocol.NewError(protocol.CodeOffsetOutOfRange, "offset 9, end 3"))
	want := protocol.NewError(protocol.CodeOffsetOutOfRange, "offset 9, end 3")
	if text := r.failed(t, want); !strings.HasSuffix(text, ": "+want.Error()) {
		t.Errorf("error %s", text)
	}
}

func TestFollowSurvivesErrors(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	o := f.options()
	o.Follow, o.Retries, o.MaxRecords = true, 1, 1
	r := read(t, c.Consumer(o).Records(bounded(t)))
	for range 3 {
		f.failFetch(next(t, f.fetches), protocol.NewError(protocol.CodeUnavailable, ""))
	}
	f.status(next(t, f.fetches), protocol.StatusEnd, -1) // a fetch with Follow has no end
	f.send(next(t, f.fetches), 0, 0)
	r.want(t, 0, 0)
	r.ended(t)
}

func TestFetchFromLatestResumesAtItsStart(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	o := f.options()
	o.From, o.Follow, o.MaxRecords = protocol.FromLatest, true, 1
	r := read(t, c.Consumer(o).Records(bounded(t)))
	m := next(t, f.fetches)
	f.status(m, protocol.StatusHeartbeat, 42)
	f.failFetch(m, protocol.NewError(protocol.CodeUnavailable, ""))
	m = next(t, f.fetches)
	wantOffset(t, m, 42)
	f.send(m, 42, 42)
	r.want(t, 42, 42)
	r.ended(t)
}

func TestRequestsLostBatchesAgain(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	o := f.options()
	r := read(t, c.Consumer(o).Records(bounded(t)))
	m := next(t, f.fetches)
	f.send(m, 0, 0)
	r.want(t, 0, 0)

	connected := make(chan struct{}, 8)
	c.Conn().SetReconnectHandler(func(*nats.Conn) { connected <- struct{}{} })
	if err := c.Conn().ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	next(t, connected)
	if err := c.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	f.send(m, 2, 2) // as if 1 had been sent while the client was disconnected
	m = next(t, f.fetches)
	wantOffset(t, m, 1)
	f.send(m, 1, 2)
	f.status(m, protocol.StatusEnd, 3)
	r.want(t, 1, 2)
	r.ended(t)
}

func TestFetchWaitsForFrontend(t *testing.T) {
	c, f := setup(t, 1)
	o := f.options()
	o.Retries = math.MaxInt
	r := read(t, c.Consumer(o).Records(bounded(t)))
	select {
	case err := <-r.err:
		t.Fatal(err)
	case <-soon(t).Done():
	}
	f.open(0)
	f.status(next(t, f.fetches), protocol.StatusEnd, 0)
	r.ended(t)
}

func TestUnservedFetchFails(t *testing.T) {
	c, f := setup(t, 1)
	o := f.options()
	o.Retries, o.Follow = 1, true
	read(t, c.Consumer(o).Records(bounded(t))).failed(t, nats.ErrNoResponders)

	unknown := protocol.NewError(protocol.CodeUnknownTopic, "")
	o = f.options()
	o.Partition = new(int32(1))
	read(t, c.Consumer(o).Records(bounded(t))).failed(t, unknown)
	o.Topic = "nothing"
	read(t, c.Consumer(o).Records(bounded(t))).failed(t, unknown)
}
