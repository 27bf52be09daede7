package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// producerAPI sends a request of the producer API.
func (f *fixture) producerAPI(ctx context.Context, t *testing.T, action string, request, response any) {
	t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := f.conn.RequestWithContext(ctx, protocol.ProducerAPI+action, body)
	if err != nil {
		t.Fatalf("producer %s: %v", action, err)
	}
	if err := json.Unmarshal(answer.Data, response); err != nil {
		t.Fatalf("producer %s: %v in %s", action, err, answer.Data)
	}
}

// initNamed begins an instance of a named producer.
func (f *fixture) initNamed(ctx context.Context, t *testing.T, name string, topics ...string) protocol.ProducerInitResponse {
	t.Helper()
	var response protocol.ProducerInitResponse
	f.producerAPI(ctx, t, "init", protocol.ProducerInitRequest{Name: name, Topics: topics}, &response)
	if response.Error != nil {
		t.Fatalf("init %s: %v", name, response.Error)
	}
	return response
}

// sequenced returns a batch of one record of an idempotent producer.
func sequenced(id int64, epoch int16, sequence, firstUnacked int32) *nats.Msg {
	return &nats.Msg{Data: []byte(strconv.Itoa(int(sequence))), Header: nats.Header{
		protocol.HeaderProducerID:    {strconv.FormatInt(id, 10)},
		protocol.HeaderProducerEpoch: {strconv.Itoa(int(epoch))},
		protocol.HeaderSequence:      {strconv.Itoa(int(sequence))},
		protocol.HeaderFirstUnacked:  {strconv.Itoa(int(firstUnacked))},
	}}
}

func wantCode(t *testing.T, ack protocol.ProduceAck, code protocol.Code) {
	t.Helper()
	if ack.Error == nil || ack.Error.Code != code {
		t.Errorf("answer %+v, want %s", ack, code.Kind().Name)
	}
}

func TestNamedProducerContinuesAndFencesEarlierInstance(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{Replicator: []string{"--snapshot-entries", "5"}})
		first := f.initNamed(ctx, t, "feed", "orders")
		if len(first.Positions) != 1 || first.Positions[0].LastSequence != nil || first.ProducerEpoch != 0 {
			t.Fatalf("first instance %+v", first)
		}
		for n := range int32(10) {
			if ack := f.request(ctx, t, sequenced(first.ProducerID, 0, n, n)); ack.Error != nil || ack.Offset != int64(n) {
				t.Fatalf("batch %d: %+v", n, ack)
			}
		}
		for _, role := range f.Roles() { // what a fence rests on survives them all
			f.Kill(role)
			f.Restart(role)
		}
		f.AwaitReady(ctx)
		f.AwaitConnected(ctx, f.conn)
		second := f.initNamed(ctx, t, "feed", "orders")
		if second.ProducerID != first.ProducerID || second.ProducerEpoch != 1 || second.Positions[0].LastSequence == nil ||
			*second.Positions[0].LastSequence != 9 || second.Positions[0].Expired {
			t.Fatalf("second instance %+v", second)
		}
		wantCode(t, f.request(ctx, t, sequenced(first.ProducerID, 0, 10, 10)), protocol.CodeInvalidEpoch)
		if ack := f.request(ctx, t, sequenced(first.ProducerID, 1, 10, 10)); ack.Error != nil || ack.Offset < 10 {
			t.Fatalf("the second instance continues: %+v", ack)
		}
		if ack := f.request(ctx, t, sequenced(first.ProducerID, 1, 7, 7)); ack.Error != nil || ack.Offset != 7 || !ack.Duplicate {
			t.Fatalf("a retry of the fourth last batch: %+v", ack)
		}
		wantCode(t, f.request(ctx, t, sequenced(first.ProducerID, 1, 5, 4)), protocol.CodeOutOfOrderSequence)
		wantCode(t, f.request(ctx, t, sequenced(first.ProducerID, 1, 5, 5)), protocol.CodeOutOfOrderFinal)
	})
}

func TestARestartReadsTheLogFromTheLastSnapshotOnly(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.RoleProcesses, deployment.Options{Replicator: []string{"--snapshot-entries", "10"}})
	const batches = 100
	for n := range int32(batches) {
		if ack := f.request(ctx, t, sequenced(7, 0, n, n)); ack.Error != nil {
			t.Fatalf("batch %d: %+v", n, ack)
		}
	}
	f.AwaitMetric(ctx, deployment.Replicator, "laneway_replicator_snapshots_total", func(v float64) bool { return v >= 9 })
	f.Kill(deployment.Replicator)
	f.Restart(deployment.Replicator)
	f.AwaitReady(ctx)
	if n := f.MustMetric(deployment.Replicator, "laneway_replicator_replayed_total"); n > 40 {
		t.Errorf("%v of %d entries were read", n, batches)
	}
	if ack := f.request(ctx, t, sequenced(7, 0, batches-5, batches-5)); !ack.Duplicate || ack.Offset != batches-5 {
		t.Errorf("a retry of the fifth last batch: %+v", ack)
	}
	if ack := f.request(ctx, t, sequenced(7, 0, batches, batches)); ack.Error != nil || ack.Offset < batches {
		t.Errorf("the next batch: %+v", ack)
	}
}

func TestConcurrentInitsLeaveOneInstance(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.RoleProcesses, deployment.Options{})
	const instances = 30
	all := make([]protocol.ProducerInitResponse, instances)
	var wait sync.WaitGroup
	for i := range instances {
		wait.Go(func() {
			f.producerAPI(ctx, t, "init", protocol.ProducerInitRequest{Name: "feed", Topics: []string{"orders"}}, &all[i])
		})
	}
	wait.Wait()
	youngest := f.initNamed(ctx, t, "feed", "orders")
	for _, one := range all {
		// One that was overtaken on its way may get that error at once.
		if one.Error != nil {
			wantCode(t, protocol.ProduceAck{Error: one.Error}, protocol.CodeInvalidEpoch)
			continue
		}
		wantCode(t, f.request(ctx, t, sequenced(one.ProducerID, one.ProducerEpoch, 0, 0)), protocol.CodeInvalidEpoch)
	}
	if ack := f.request(ctx, t, sequenced(youngest.ProducerID, youngest.ProducerEpoch, 0, 0)); ack.Error != nil {
		t.Fatalf("the youngest: %+v", ack)
	}
}

// A batch in an epoch that no init gave would else stand in the way of all inits up
// to that epoch, or begin the history anew that a named producer relies on.
func TestUnknownEpochDoesNotStopNamedProducer(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		f.CreateTopic(f.conn, "others")
		first := f.initNamed(ctx, t, "feed", "orders")
		for n := range int32(3) {
			if ack := f.request(ctx, t, sequenced(first.ProducerID, 0, n, n)); ack.Error != nil {
				t.Fatalf("batch %d: %+v", n, ack)
			}
		}
		toOthers := func(epoch int16) protocol.ProduceAck {
			m := sequenced(first.ProducerID, epoch, 0, 0)
			m.Subject = "laneway.produce.others.0"
			return f.request(ctx, t, m)
		}
		wantCode(t, f.request(ctx, t, sequenced(first.ProducerID, 7, 0, 0)), protocol.CodeEpochNotGiven)
		wantCode(t, f.request(ctx, t, sequenced(first.ProducerID, 32767, 0, 0)), protocol.CodeHeaderInvalid)
		if ack := toOthers(7); ack.Error != nil { // where the producer is not known
			t.Fatalf("%+v", ack)
		}
		second := f.initNamed(ctx, t, "feed", "orders", "others")
		if second.ProducerID != first.ProducerID || second.ProducerEpoch != 8 {
			t.Fatalf("the next instance is %+v, want epoch 8 of id %d", second, first.ProducerID)
		}
		wantCode(t, toOthers(7), protocol.CodeInvalidEpoch)
		if ack := f.request(ctx, t, sequenced(second.ProducerID, 8, 3, 3)); ack.Error != nil || ack.Offset != 3 {
			t.Fatalf("it continues with %+v", ack)
		}
		f.CreateTopic(f.conn, "more")
		m := sequenced(first.ProducerID, 32766, 0, 0)
		m.Subject = "laneway.produce.more.0"
		if ack := f.request(ctx, t, m); ack.Error != nil {
			t.Fatalf("%+v", ack)
		}
		third := f.initNamed(ctx, t, "feed", "orders", "more") // by a new id, because the epochs are used up
		if last := third.Positions[1]; third.ProducerID == first.ProducerID || third.ProducerEpoch != 0 ||
			last.Topic != "orders" || last.LastSequence == nil || *last.LastSequence != 3 {
			t.Fatalf("the third instance is %+v", third)
		}
		if ack := f.request(ctx, t, sequenced(third.ProducerID, 0, 4, 4)); ack.Error != nil || ack.Offset != 4 {
			t.Fatalf("it continues with %+v", ack)
		}
	})
}

func TestProducersOfAPartitionAreListedInPages(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	f.initNamed(ctx, t, "feed", "orders")
	for id := range int64(25) {
		if ack := f.request(ctx, t, sequenced(id+1, 3, 0, 0)); ack.Error != nil {
			t.Fatalf("%+v", ack)
		}
	}
	var listed []protocol.ProducerInfo
	for more := true; more; {
		request := protocol.ProducerListRequest{Topic: "orders", Limit: 10}
		if len(listed) > 0 {
			request.After = listed[len(listed)-1].ProducerID
		}
		var page protocol.ProducerListResponse
		f.producerAPI(ctx, t, "list", request, &page)
		if page.Error != nil || page.Total != 26 {
			t.Fatalf("page %+v", page)
		}
		listed, more = append(listed, page.Producers...), page.More
	}
	for i, p := range listed[:25] {
		if p.ProducerID != int64(i)+1 || p.ProducerEpoch != 3 || p.LastSequence == nil || *p.LastSequence != 0 || p.Name != "" {
			t.Errorf("producer %d: %+v", i, p)
		}
	}
	if last := listed[25]; len(listed) != 26 || last.Name != "feed" || last.LastSequence != nil {
		t.Errorf("%d producers, the last one is %+v", len(listed), last)
	}
	var info protocol.ProducerInfoResponse
	f.producerAPI(ctx, t, "info", protocol.ProducerInfoRequest{Topic: "orders", Name: "feed"}, &info)
	if info.Error != nil || len(info.Producers) != 1 || info.Producers[0].ProducerID != listed[25].ProducerID {
		t.Errorf("info of feed: %+v", info)
	}
}

func TestRequestsOfTheProducerAPIThatAreRefused(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	for name, c := range map[string]struct {
		action, body string
		code         protocol.Code
	}{
		"no JSON":                    {"init", `"x"`, protocol.CodeInvalidRequest},
		"an unknown field":           {"init", `{"id":1}`, protocol.CodeInvalidRequest},
		"topics without a name":      {"init", `{"topics":["orders"]}`, protocol.CodeInvalidRequest},
		"a name without topics":      {"init", `{"name":"a"}`, protocol.CodeInvalidRequest},
		"a name that cannot be seen": {"init", "{\"name\":\"a\\nb\",\"topics\":[\"orders\"]}", protocol.CodeInvalidRequest},
		"a name that is not UTF-8":   {"init", "{\"name\":\"a\\ufffd\",\"topics\":[\"orders\"]}", protocol.CodeInvalidRequest},
		"a topic that is not there":  {"init", `{"name":"a","topics":["nothing"]}`, protocol.CodeUnknownTopic},
		"a partition not there":      {"list", `{"topic":"orders","partition":1}`, protocol.CodeUnknownTopic},
		"a negative partition":       {"list", `{"topic":"orders","partition":-1}`, protocol.CodeUnknownTopic},
		"a large page":               {"list", `{"topic":"orders","limit":1001}`, protocol.CodeInvalidRequest},
		"an unused name":             {"info", `{"topic":"orders","name":"nobody"}`, protocol.CodeUnknownName},
		"neither id nor name":        {"info", `{"topic":"orders"}`, protocol.CodeInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			var response protocol.ErrorResponse
			f.producerAPI(ctx, t, c.action, json.RawMessage(c.body), &response)
			wantCode(t, protocol.ProduceAck{Error: response.Error}, c.code)
		})
	}
}

// remembered writes what is kept of a name: that it was fenced on a topic.
func (f *fixture) remembered(ctx context.Context, t *testing.T, name string, id int64) {
	t.Helper()
	js, err := jetstream.New(f.conn)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(ctx, "LANEWAY_PRODUCERS")
	if err != nil {
		t.Fatal(err)
	}
	record := fmt.Sprintf(`{"name":%q,"id":"%d","epoch":3,"topics":[%d]}`, name, id, f.partition.TopicID)
	if _, err := kv.Put(ctx, base64.RawURLEncoding.EncodeToString([]byte(name)), []byte(record)); err != nil {
		t.Fatal(err)
	}
}

func TestExpiredPositionIsReportedToEveryInstance(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	f.remembered(ctx, t, "feed", 4711) // and the partition knows nothing of it
	for range 3 {
		if response := f.initNamed(ctx, t, "feed", "orders"); !response.Positions[0].Expired || response.Positions[0].LastSequence != nil {
			t.Errorf("position %+v", response.Positions[0])
		}
	}
	code, output, err := deployment.ExitCode(f.Laneway(ctx, "produce", "--name", "feed", "orders", "/etc/hostname"))
	if err != nil || code == 0 || !strings.Contains(output, "POSITION_EXPIRED") {
		t.Errorf("exit code %d, %v: %s", code, err, output)
	}
}

func TestNewNameIsNotExpiredAfterFailedInit(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.RoleProcesses, deployment.Options{})
	f.Kill(deployment.Replicator)
	var failed protocol.ProducerInitResponse
	f.producerAPI(ctx, t, "init", protocol.ProducerInitRequest{Name: "feed", Topics: []string{"orders"}}, &failed)
	wantCode(t, protocol.ProduceAck{Error: failed.Error}, protocol.CodeUnavailable)
	f.Restart(deployment.Replicator)
	f.AwaitReady(ctx)
	if response := f.initNamed(ctx, t, "feed", "orders"); response.Positions[0].Expired {
		t.Errorf("position %+v", response.Positions[0])
	}
}

func TestAnInstanceThatAsksAgainDoesNotFenceItself(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	var first, again protocol.ProducerInitResponse
	request := protocol.ProducerInitRequest{Name: "feed", Topics: []string{"orders"}, Instance: "one"}
	f.producerAPI(ctx, t, "init", request, &first)
	if ack := f.request(ctx, t, sequenced(first.ProducerID, first.ProducerEpoch, 0, 0)); ack.Error != nil {
		t.Fatal(ack.Error)
	}
	f.producerAPI(ctx, t, "init", request, &again) // it came late, and twice
	if again.Error != nil || again.ProducerEpoch != first.ProducerEpoch {
		t.Errorf("first %+v, again %+v", first, again)
	}
	if ack := f.request(ctx, t, sequenced(first.ProducerID, first.ProducerEpoch, 1, 1)); ack.Error != nil {
		t.Error(ack.Error)
	}
}

func TestAFloodOfListsLeavesRoomForBatches(t *testing.T) {
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	for range 5000 {
		if err := f.conn.PublishRequest(protocol.ProducerAPI+"list", f.conn.NewInbox(), []byte(`{"topic":"orders","partition":0}`)); err != nil {
			t.Fatal(err)
		}
	}
	started := time.Now()
	if ack := f.request(ctx, t, sequenced(7, 0, 0, 0)); ack.Error != nil {
		t.Error(ack.Error)
	}
	took(t, started, "a batch during 5000 lists")
	var response protocol.ProducerInitResponse
	f.producerAPI(ctx, t, "init", protocol.ProducerInitRequest{}, &response)
	if response.Error != nil || response.ProducerID == 0 {
		t.Errorf("init %+v", response)
	}
}
