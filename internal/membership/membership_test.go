package membership_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"

	"laneway.dev/internal/core/member"
	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/membership"
)

const (
	ttl  = time.Second // the shortest that JetStream knows
	logs = 6
)

// instance is a member, and what it was told.
type instance struct {
	*membership.Member
	name    string
	changed chan membership.View
	warned  chan struct{}
	turns   atomic.Bool
}

// rig is the instances of one role.
type rig struct {
	*testing.T
	ctx  context.Context
	conn *nats.Conn
	js   jetstream.JetStream
}

func newRig(t *testing.T, start func(testing.TB) (*nats.Conn, jetstream.JetStream)) *rig {
	t.Helper()
	t.Parallel() // it waits most of the time
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	conn, js := start(t)
	return &rig{t, ctx, conn, js}
}

func (r *rig) join(name string) *instance {
	r.Helper()
	i := &instance{name: name, changed: make(chan membership.View, 1), warned: make(chan struct{}, 1)}
	log := zaptest.NewLogger(r).WithOptions(zap.Hooks(func(zapcore.Entry) error {
		select {
		case i.warned <- struct{}{}:
		default:
		}
		return nil
	}))
	i.turns.Store(true)
	i.Member = membership.Join(membership.Config{
		Conn: r.conn, JS: r.js, Logger: log, Role: "sequencer", Instance: name, Logs: logs, TTL: ttl, Turns: i.turns.Load,
		Changed: func(v membership.View) {
			select {
			case <-i.changed: // nobody has read it
			default:
			}
			i.changed <- v
		},
	})
	r.Cleanup(func() { i.end() })
	return i
}

// end ends an instance like kill -9 does: it leaves its key behind.
func (i *instance) end() {
	i.End(context.Canceled)
	i.Await()
}

// await returns when the instance owns so many logs. It gives away what it is to hand over.
func (r *rig) await(i *instance, owned int) membership.View {
	r.Helper()
	v := i.View()
	for {
		for _, o := range v.Owned {
			if to := v.Record.Logs[o.Log].Next; to != "" {
				if err := i.Ask(r.ctx, member.GiveAway{Log: o.Log, To: to}); err != nil {
					r.Fatal(err)
				}
			}
		}
		if len(v.Owned) == owned {
			return v
		}
		select {
		case v = <-i.changed:
		case <-r.ctx.Done():
			r.Fatalf("%s owns %+v, want %d logs: %+v", i.name, v.Owned, owned, v.Record)
		}
	}
}

func TestALoneMemberOwnsAllLogs(t *testing.T) {
	r := newRig(t, embeddedtest.Start)
	a := r.join("a")
	v := r.await(a, logs)
	if v.Record.By != "a" || !a.May() {
		t.Errorf("the record is by %q, and it may refuse requests: %t", v.Record.By, a.May())
	}
}

func TestTheLogsOfAMemberThatWasKilledAreTakenOver(t *testing.T) {
	for name, start := range map[string]func(testing.TB) (*nats.Conn, jetstream.JetStream){
		"a server": embeddedtest.Start, "three servers": embeddedtest.Cluster,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, start)
			a := r.join("a")
			before := r.await(a, logs)
			b := r.join("b")
			a.end()
			after := r.await(b, logs)
			for n, o := range after.Owned {
				if o.Epoch <= before.Owned[n].Epoch {
					t.Errorf("log %d: epoch %d after %d", n, o.Epoch, before.Owned[n].Epoch)
				}
			}
		})
	}
}

func TestAMemberThatDrainsHandsOverAndLeaves(t *testing.T) {
	r := newRig(t, embeddedtest.Start)
	a := r.join("a")
	r.await(a, logs)
	b := r.join("b")
	if err := a.Ask(r.ctx, member.Drain{}); err != nil {
		t.Fatal(err)
	}
	r.await(a, 0)
	r.await(b, logs)
	if err := a.Leave(r.ctx); err != nil {
		t.Fatal(err)
	}
	if members, err := membership.List(r.ctx, r.js); err != nil || len(members) != 1 || members[0].Instance != "b" {
		t.Errorf("members %+v, %v", members, err)
	}
}

func TestAMemberWhoseActorsHangLosesItsLogs(t *testing.T) {
	r := newRig(t, embeddedtest.Start)
	a := r.join("a")
	r.await(a, logs)
	b := r.join("b")
	a.turns.Store(false)
	r.await(b, logs)
	if a.May() {
		t.Error("the member that hangs may refuse requests")
	}
	a.turns.Store(true)
	r.await(a, 0) // it learns that
}

func TestALogMovesToAMemberThatCanWorkOnIt(t *testing.T) {
	r := newRig(t, embeddedtest.Start)
	a := r.join("a")
	r.await(a, logs)
	b := r.join("b")
	given := r.await(a, logs/2).Owned[1]
	r.await(b, logs/2)
	if err := a.Ask(r.ctx, member.GiveUp(given)); err != nil {
		t.Fatal(err)
	}
	v := r.await(b, logs/2+1)
	if l := v.Record.Logs[given.Log]; l.Owner != "b" || l.Epoch <= given.Epoch {
		t.Errorf("the log is that of %+v", l)
	}
}

func TestBucketsThatWereLostAreMadeAgainWithTheSameOwners(t *testing.T) {
	r := newRig(t, embeddedtest.Start)
	a := r.join("a")
	before := r.await(a, logs)
	for _, bucket := range []string{"LANEWAY_MEMBERS", "LANEWAY_ASSIGNMENTS"} {
		if err := r.js.DeleteKeyValue(r.ctx, bucket); err != nil {
			t.Fatal(err)
		}
	}
	// What it asks for is answered by a new record.
	if err := a.Ask(r.ctx, member.Raise{Log: 0, Above: before.Owned[0].Epoch + 77}); err != nil {
		t.Fatal(err)
	}
	for v := a.View(); v.Record.Version == before.Record.Version; v = <-a.changed {
	}
	after := r.await(a, logs)
	if after.Record.Version <= before.Record.Version || after.Owned[0].Epoch != before.Owned[0].Epoch+78 || after.Owned[1] != before.Owned[1] {
		t.Errorf("%+v, then %+v", before.Record, after.Record)
	}
}

func TestARecordOfALaterReleaseIsNotReplaced(t *testing.T) {
	r := newRig(t, embeddedtest.Start)
	a := r.join("a")
	r.await(a, logs)
	kv, err := r.js.KeyValue(r.ctx, "LANEWAY_ASSIGNMENTS")
	if err != nil {
		t.Fatal(err)
	}
	later := []byte(`{"format": 2, "version": 900}`)
	if _, err := kv.Put(r.ctx, "sequencer", later); err != nil {
		t.Fatal(err)
	}
	b := r.join("b")
	select {
	case <-b.warned:
	case <-r.ctx.Done():
		t.Fatal("it does not say that it cannot read the record")
	}
	if e, err := kv.Get(r.ctx, "sequencer"); err != nil || string(e.Value()) != string(later) || len(b.View().Owned) > 0 {
		t.Errorf("%s, %v", e.Value(), err)
	}
}
