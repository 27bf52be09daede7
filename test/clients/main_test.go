// Package clients lets the clients that people have publish to Laneway,
// unmodified, and compares what they see with what JetStream gives them.
//
// Everything runs over each deployment of package deployment, and over one that
// runs already if LANEWAY_TEST_NATS_URL names its NATS server.
package clients

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
)

func TestMain(m *testing.M) {
	if err := deployment.Build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// limit is what a partition may have unanswered: a little more than a JetStream
// client of Go has by default.
const limit = 4096

// uploadsAll are flags of a frontend with which small batches are uploaded, too.
var uploadsAll = []string{"--inline-bytes", "0"}

// outOfOrder makes uploads end in any order: objects are small and many, and
// each takes anything up to 50 ms.
var outOfOrder = deployment.Options{
	Stager:   []string{"--object-batches", "32", "--uploads", "64", "--fault", "stage.delay=uniform(0,50ms)"},
	Frontend: append([]string{"--max-in-flight-per-partition", fmt.Sprint(limit)}, uploadsAll...),
}

// suite is what holds over every deployment. Its tests share the processes,
// each has a topic of its own.
var suite = []struct {
	name string
	test func(*testing.T, *fixture)
}{
	{"publishing waits for an ack with JetStream's fields and ours", testAcks},
	{"a message id that is repeated gets the first sequence", testDuplicates},
	{"headers come back to consumers", testHeadersComeBack},
	{"what is not honoured is refused by name", testRefusedHeaders},
	{"headers that servers add are taken", testServerHeaders},
	{"wrong requests fail as with JetStream", testErrorsAreThoseOfJetStream},
	{"too much at once fails as with JetStream", testOverload},
	{"a hundred thousand records keep the order of PublishAsync", testOrderOfPublishAsync},
	{"the older API keeps the order of PublishAsync", testOrderOfOlderPublishAsync},
	{"every library reads every answer", testAnswersAreReadByEveryLibrary},
	{"a fetch of a deleted topic does not end as if nothing had come", testDeletedTopicDoesNotLookEmpty},
	{"the C client", testC},
	{"Python, by the rules of nats.py", testPython},
	{"nats pub", testNATSPub},
	{"nats request", testNATSRequest},
	{"nats bench", testNATSBench},
	{"two connections are two lanes", testConnectionsAreLanes},
	{"every old-style request is a lane", testOldStyleRequests},
}

func TestClients(t *testing.T) {
	deployment.Everywhere(t, func(t *testing.T, kind deployment.Kind) {
		running := deployment.Start(t, kind, outOfOrder)
		for _, s := range suite {
			t.Run(s.name, func(t *testing.T) {
				started := time.Now()
				s.test(t, use(t, running))
				t.Logf("took %s", time.Since(started).Round(time.Millisecond))
			})
		}
	})
}

// fixture is a deployment with a topic and a user's connection.
type fixture struct {
	*deployment.Deployment
	ctx       context.Context
	conn      *nats.Conn
	partition protocol.Partition
	laneway   place
}

// use gives a test its own topic and connection.
func use(t *testing.T, running *deployment.Deployment) *fixture {
	t.Helper()
	const bound = 4 * time.Minute // most take a second, but a machine may be busy
	ctx, cancel := context.WithTimeoutCause(t.Context(), bound, fmt.Errorf("%s did not end within %s", t.Name(), bound))
	t.Cleanup(cancel)
	f := &fixture{Deployment: running.For(t), ctx: ctx}
	f.conn = f.Connect()
	topic := f.CreateTopic(f.conn, "clients-"+nuid.Next())
	t.Cleanup(func() { f.DeleteTopic(f.conn, topic.Name) })
	f.partition = topic.Partition(0)
	f.laneway = place{subject: f.partition.ProduceSubject(), stream: f.partition.Stream()}
	return f
}

// place is where a client publishes to: a partition of Laneway, or a stream.
type place struct{ subject, stream string }

// twin makes a JetStream stream on the same NATS server, to see what it answers.
func (f *fixture) twin(t *testing.T) place {
	t.Helper()
	js := newJetStream(t, f.conn)
	id := nuid.Next()
	p := place{subject: "twin." + id, stream: "TWIN-" + id}
	_, err := js.CreateStream(f.ctx, jetstream.StreamConfig{
		Name: p.stream, Subjects: []string{p.subject}, Storage: jetstream.MemoryStorage,
		MaxMsgSize: protocol.DefaultMaxRecordBytes,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := js.DeleteStream(context.WithoutCancel(f.ctx), p.stream); err != nil {
			t.Error(err)
		}
	})
	return p
}

func newJetStream(t *testing.T, conn *nats.Conn, options ...jetstream.JetStreamOpt) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(conn, options...)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// records fetches what the topic has.
func (f *fixture) records(t *testing.T) []history.Record {
	t.Helper()
	records, err := history.Records(f.ctx, f.conn, f.partition)
	if err != nil {
		t.Fatal(err)
	}
	if err := history.Dense(records); err != nil {
		t.Error(err)
	}
	return records
}

// await fetches what the topic has once it has n records: no event reports when a
// message without a reply is committed.
func (f *fixture) await(t *testing.T, n int) []history.Record {
	t.Helper()
	var records []history.Record
	err := deployment.Eventually(f.ctx, func(context.Context) error {
		if records = f.records(t); len(records) < n {
			return fmt.Errorf("the topic has %d records, not yet %d", len(records), n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// expectValues checks what the topic has, in order.
func (f *fixture) expectValues(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, r := range f.records(t) {
		got = append(got, r.Value)
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("the topic has %d records %.500q, want %d: %.500q", len(got), got, len(want), want)
	}
}

// numbered returns the value of the n-th record that is sent.
func numbered(n int) string { return fmt.Sprintf("record %d", n) }

// expectNumbered checks that the topic has the records up to n in the order in
// which they were sent.
func (f *fixture) expectNumbered(t *testing.T, n int) {
	t.Helper()
	records := f.records(t)
	if len(records) != n {
		t.Errorf("the topic has %d records, %d were sent", len(records), n)
	}
	for i, r := range records {
		if r.Value != numbered(i) {
			t.Fatalf("offset %d has %q", i, r.Value)
		}
	}
}

// lanes returns how many batches each lane has in the topic's log, which is
// checked on the way.
func (f *fixture) lanes(t *testing.T, reader *nats.Conn) map[string]int {
	t.Helper()
	entries, err := history.Entries(f.ctx, reader, f.partition)
	if err != nil {
		t.Fatal(err)
	}
	if err := history.Log(entries); err != nil {
		t.Error(err)
	}
	lanes := make(map[string]int)
	for i := range entries {
		for _, b := range entries[i].Entry.Batches {
			lanes[b.Lane]++
		}
	}
	return lanes
}
