package clients

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
	"laneway.dev/test/load"
	"laneway.dev/test/machine"
)

// sendAsync publishes records of a producer by PublishAsync and waits for their acks.
func (f *fixture) sendAsync(t *testing.T, conn *nats.Conn, producer string, from, to int, header nats.Header) {
	t.Helper()
	failed := &failures{t: t}
	js := newJetStream(t, conn, jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, err error) {
		failed.add(m, err)
	}))
	defer js.CleanupPublisher()
	for n := from; n < to; n++ {
		m := &nats.Msg{Subject: f.laneway.subject, Data: []byte(load.Value(producer, n)), Header: header}
		if _, err := js.PublishMsgAsync(m, jetstream.WithStallWait(patience)); err != nil {
			t.Errorf("%s: %v", m.Data, err)
			return
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-f.ctx.Done():
		t.Error(context.Cause(f.ctx))
	}
}

// sendRequests makes requests of a producer, all at once.
func (f *fixture) sendRequests(t *testing.T, conn *nats.Conn, producer string, n int, header nats.Header) {
	t.Helper()
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			m := &nats.Msg{Subject: f.laneway.subject, Data: []byte(load.Value(producer, i)), Header: header}
			answer, err := conn.RequestMsgWithContext(f.ctx, m)
			if err != nil {
				t.Errorf("%s: %v", m.Data, err)
			} else if strings.Contains(string(answer.Data), `"error"`) {
				t.Errorf("%s: %s", m.Data, answer.Data)
			}
		})
	}
	wait.Wait()
}

// expectLanes checks in how many lanes the topic's log has n batches.
func (f *fixture) expectLanes(t *testing.T, lanes, n int) map[string]int {
	t.Helper()
	got := f.lanes(t, f.conn)
	batches := 0
	for _, of := range got {
		batches += of
	}
	if len(got) != lanes || batches != n {
		t.Errorf("%d batches are in %d lanes, want %d in %d: %.500s", batches, len(got), n, lanes, fmt.Sprint(got))
	}
	return got
}

// expectSendOrder checks that the topic has n records, and those of each
// producer in the order in which it sent them.
func (f *fixture) expectSendOrder(t *testing.T, n int) {
	t.Helper()
	records := f.records(t)
	if len(records) != n {
		t.Errorf("the topic has %d records, want %d", len(records), n)
	}
	if err := history.SendOrder(records); err != nil {
		t.Error(err)
	}
}

const (
	asyncRecords = 1000
	requests     = 50
)

var named = nats.Header{protocol.HeaderProducer: {"me"}}

func testConnectionsAreLanes(t *testing.T, f *fixture) {
	var wait sync.WaitGroup
	for _, producer := range []string{"a", "b"} {
		conn := f.Connect()
		wait.Go(func() { f.sendAsync(t, conn, producer, 0, asyncRecords, nil) })
	}
	wait.Wait()
	for lane, n := range f.expectLanes(t, 2, 2*asyncRecords) {
		if n != asyncRecords {
			t.Errorf("lane %q has %d batches", lane, n)
		}
	}
	f.expectSendOrder(t, 2*asyncRecords)
}

func testOldStyleRequests(t *testing.T, f *fixture) {
	old := f.Connect(nats.UseOldRequestStyle())
	f.sendRequests(t, old, "a", requests, nil)
	f.expectLanes(t, requests, requests)
	f.sendRequests(t, old, "b", requests, named)
	f.expectLanes(t, requests+1, 2*requests)
}

// accounts lets clients in two accounts of their own produce through an import;
// one of them shares who they are. Laneway's processes use no password.
const accounts = `
accounts {
  LANEWAY {
    jetstream: enabled
    users: [{user: laneway, password: laneway}]
    exports: [{service: "laneway.>"}]
  }
  SHARED {
    users: [{user: shared, password: shared}]
    imports: [{service: {account: LANEWAY, subject: "laneway.>"}, share: true}]
  }
  QUIET {
    users: [{user: quiet, password: quiet}]
    imports: [{service: {account: LANEWAY, subject: "laneway.>"}}]
  }
}
no_auth_user: laneway
leafnodes { listen: %q }
`

func TestClientsOfOtherAccounts(t *testing.T) {
	options := outOfOrder
	leaves := machine.Address(t)
	options.NATS = fmt.Sprintf(accounts, leaves)
	running := deployment.Start(t, deployment.RoleProcesses, options)
	connect := func(f *fixture, user string, more ...nats.Option) *nats.Conn {
		return f.Connect(append(more, nats.UserInfo(user, user))...)
	}
	t.Run("lanes of those who share who they are: a lane for each connection", func(t *testing.T) {
		f := use(t, running)
		var wait sync.WaitGroup
		for _, producer := range []string{"a", "b"} {
			conn := connect(f, "shared")
			wait.Go(func() { f.sendAsync(t, conn, producer, 0, asyncRecords, nil) })
		}
		wait.Wait()
		for lane, n := range f.expectLanes(t, 2, 2*asyncRecords) {
			if n != asyncRecords || !strings.HasPrefix(lane, "c:SHARED/") {
				t.Errorf("lane %q has %d batches", lane, n)
			}
		}
		f.expectSendOrder(t, 2*asyncRecords)
	})
	t.Run("lanes of those who share who they are, with old-style requests: a lane for each connection", func(t *testing.T) {
		f := use(t, running)
		f.sendRequests(t, connect(f, "shared", nats.UseOldRequestStyle()), "a", requests, nil)
		f.sendRequests(t, connect(f, "shared", nats.UseOldRequestStyle()), "b", requests, nil)
		f.expectLanes(t, 2, 2*requests)
	})
	t.Run("lanes of those who are behind a leaf node: a lane for each request", func(t *testing.T) {
		f := use(t, running)
		leaf := deployment.StartNATS(t, fmt.Sprintf(`leafnodes { remotes: [{url: "nats-leaf://shared:shared@%s"}] }`, leaves))
		conn, err := nats.Connect(leaf)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		err = deployment.Eventually(f.ctx, func(context.Context) error { // until the leaf is connected
			_, err := conn.Request(protocol.TopicAPI+"list", nil, time.Second)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		f.sendRequests(t, conn, "a", requests, nil)
		f.expectLanes(t, requests, requests)
		f.sendRequests(t, conn, "b", requests, named)
		f.expectLanes(t, requests+1, 2*requests)
	})
	t.Run("lanes of those who do not: a lane for each request", func(t *testing.T) {
		f := use(t, running)
		f.sendAsync(t, connect(f, "quiet"), "a", 0, requests, nil)
		f.sendRequests(t, connect(f, "quiet", nats.UseOldRequestStyle()), "b", requests, nil)
		f.expectLanes(t, 2*requests, 2*requests)
	})
	t.Run("fail as with JetStream", func(t *testing.T) {
		f := use(t, running)
		for _, user := range []string{"shared", "quiet"} {
			for _, w := range wrong {
				m, o := w.request(f.laneway)
				if _, err := publishNew(f.ctx, connect(f, user), m, o); class(err) != w.want {
					t.Errorf("%s of %s: %s (%v), want %s", w.name, user, class(err), err, w.want)
				}
			}
		}
	})
	t.Run("lanes of those who name their producer: a lane for each name", func(t *testing.T) {
		f := use(t, running)
		f.sendAsync(t, connect(f, "quiet"), "a", 0, asyncRecords, named)
		if lanes := f.expectLanes(t, 1, asyncRecords); lanes["p:me"] == 0 {
			t.Errorf("the lane is %v", lanes)
		}
		f.expectSendOrder(t, asyncRecords)
	})
}
