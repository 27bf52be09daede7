package repair

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/marks"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// revertedWorld is a topic whose first partition was continued in incarnation 1, where an owner
// has appended a term record and a batch, and whose record names incarnation 0 again.
func revertedWorld(t *testing.T) (w *world, continued protocol.Topic, first *Accepted) {
	t.Helper()
	w, _ = damagedWorld(t)
	before := w.topic
	first, err := w.accept(w.ctx)
	w.must(err)
	w.topic = w.now()
	continued = w.topic
	w.last[0], w.next[0] = first.NextSequence-1, first.NextOffset
	w.append(0, messages.Entry{Owner: "a", OwnerEpoch: 9})
	w.commit(0, w.stage(w.batch(0, "a", 5))...)
	w.setMark(messages.Mark{
		Owner: "a", Written: messages.Position{Sequence: w.last[0], Offset: w.next[0]}, Reserved: messages.Position{Sequence: 2000, Offset: 3000},
	})
	w.revert(before)
	return w, continued, first
}

// revert makes the topic's record an older one.
func (w *world) revert(to protocol.Topic) {
	w.t.Helper()
	kv, err := w.js.KeyValue(w.ctx, "LANEWAY_TOPICS")
	w.must(err)
	value, err := json.Marshal(to)
	w.must(err)
	_, err = kv.Put(w.ctx, to.Name, value)
	w.must(err)
	w.topic = w.now()
}

func TestReportsARecordThatIsOlderThanItsLog(t *testing.T) {
	w, continued, _ := revertedWorld(t)
	p := w.inspect(0).Report.Partitions[0]
	if len(p.Findings) != 1 || !strings.Contains(p.Findings[0], "the topic's record is older than its log") {
		t.Errorf("the findings are %q", p.Findings)
	}
	if p.LogName != messages.LogName(continued.Partition(0)) || p.Log.EndOffset != w.next[0] {
		t.Errorf("the report is about %s, which ends at offset %d", p.LogName, p.Log.EndOffset)
	}
}

func TestCorrectsARecordThatIsOlderThanItsLog(t *testing.T) {
	for name, change := range map[string]func(w *world, continued protocol.Topic){
		"by stream and mark": func(*world, protocol.Topic) {},
		"by the stream":      func(w *world, _ protocol.Topic) { w.must(marks.Delete(w.ctx, w.conn, w.js, w.topic.ID)) },
		"by the mark": func(w *world, continued protocol.Topic) {
			w.must(partitionlog.New(w.conn, w.js, continued.Partition(0)).Delete(w.ctx))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, continued, _ := revertedWorld(t)
			change(w, continued)
			got, err := w.accept(w.ctx)
			w.must(err)
			if !got.RecordCorrected || got.Incarnation != 1 || got.Copied != 0 || len(got.GivenUp) != 0 {
				t.Errorf("accepted is %+v", got)
			}
			if w.topic = w.now(); w.topic.Partition(0) != continued.Partition(0) {
				t.Errorf("the record names %+v", w.topic.Partition(0))
			}
			if name == "by stream and mark" {
				w.wantWhole()
			}
		})
	}
}

func TestRecordOfUnsealedStreamIsNotCorrected(t *testing.T) {
	w, _, _ := revertedWorld(t)
	p := w.topic.Partition(0)
	log := partitionlog.New(w.conn, w.js, p)
	w.must(log.Delete(w.ctx))
	w.must(log.Create(w.ctx, 1, 0))
	if got, err := w.accept(w.ctx); err == nil || !strings.Contains(err.Error(), "is not sealed") {
		t.Errorf("accepted is %+v, %v", got, err)
	}
	if w.now().Partition(0) != p {
		t.Error("the record was changed")
	}
}

func TestContinuesAboveWhatAnUnusedIncarnationHas(t *testing.T) {
	w, _ := damagedWorld(t)
	left := w.topic.Partition(0)
	left.Incarnation = 1
	target, err := partitionlog.New(w.conn, w.js, left).Continue(w.ctx, 1, 7000)
	w.must(err)
	w.must(target.Append(w.ctx, messages.Entry{TopicID: left.TopicID, Created: true}))
	w.must(target.Append(w.ctx, messages.Entry{TopicID: left.TopicID, BaseOffset: 9000, Gap: 9000}))
	w.must(target.Finish(w.ctx))
	got, err := w.accept(w.ctx)
	w.must(err)
	if got.Incarnation != 2 || got.FirstSequence <= 7001 || got.NextOffset < 9000 {
		t.Errorf("accepted is %+v", got)
	}
	w.topic = w.now()
	w.wantWhole()
}

// attempt returns an attempt that has filled its stream.
func (w *world) attempt() (*accepting, *partitionlog.Continuation) {
	w.t.Helper()
	a := &accepting{planning: planning{Inspector: w.inspector(), old: w.topic.Partition(0)}, replicas: 1}
	w.must(a.open(w.ctx))
	w.must(a.compare(w.ctx))
	w.must(a.prepare(w.ctx))
	target, err := a.begin(w.ctx)
	w.must(err)
	w.must(a.fill(w.ctx, target))
	return a, target
}

func TestAStreamStaysWhoseFateIsUnknown(t *testing.T) {
	w, _ := damagedWorld(t)
	a, target := w.attempt()
	gone, js := embeddedtest.Start(t)
	var err error
	a.registry, err = topics.Open(w.ctx, gone, js)
	w.must(err)
	gone.Close()
	if _, err := a.writeRecord(w.ctx, target); !errors.Is(err, ErrOutcomeUnknown) {
		t.Errorf("the error is %v", err)
	}
	if !logtest.Of(t, w.conn, a.new).Exists() {
		t.Error("the stream does not exist")
	}
}

func TestAcceptingEndsIfJetStreamGivesNoAnswer(t *testing.T) {
	server, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	server.Start()
	defer func() { server.Shutdown(); server.WaitForShutdown() }()
	conn, err := nats.Connect(server.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.SubscribeSync("$JS.API.>"); err != nil { // takes all requests, and answers none
		t.Fatal(err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	topic := protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "orders", Partitions: 1}, ID: 7}
	inspector := &Inspector{Conn: conn, JS: js, timeout: 50 * time.Millisecond}
	if _, err := inspector.Accept(t.Context(), topic, 0); err == nil || !strings.Contains(err.Error(), errNoAnswer.Error()) {
		t.Errorf("the error is %v", err)
	}
	a := &accepting{planning: planning{Inspector: inspector, old: topic.Partition(0)}}
	for name, step := range map[string]func() error{
		"lookup of later incarnations": func() error {
			return a.bounded(t.Context(), func(ctx context.Context) error {
				_, err := topics.Later(ctx, conn, js, a.old)
				return err
			})
		},
		"epoch": func() error { return a.bounded(t.Context(), a.findEpoch) },
	} {
		if err := step(); err == nil || !strings.Contains(err.Error(), errNoAnswer.Error()) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}
