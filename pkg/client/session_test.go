package client_test

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

func TestFetchStartsAtWantedOffset(t *testing.T) {
	c, f := setup(t, 3)
	f.open(2)
	o := f.options()
	o.Partition, o.Offset = new(int32(2)), at(11)
	go func() {
		m := <-f.fetches
		wantOffset(t, m, 11)
		frame := protocol.FrameBuilder{}
		frame.Append(protocol.Record{Value: []byte("too early")})
		frame.Append(protocol.Record{Value: []byte("wanted"), Headers: []protocol.Header{{Name: "k", Value: "v"}}})
		f.sendFrame(m, 10, 2, frame.Bytes())
		f.sendFrame(m, 12, 1, protocol.EncodeRecord(protocol.Record{}))
		f.status(m, protocol.StatusEnd, 13)
	}()
	var got []client.Record
	for r, err := range c.Consumer(o).Records(bounded(t)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	want := []client.Record{
		{Topic: f.topic.Name, Partition: 2, Offset: 11, Time: moment, Value: []byte("wanted"), Headers: []protocol.Header{{Name: "k", Value: "v"}}},
		{Topic: f.topic.Name, Partition: 2, Offset: 12, Time: moment},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFetchRequestFollowsOptions(t *testing.T) {
	earliest := protocol.FetchRequest{From: protocol.FromEarliest, WindowBytes: 8 << 20, Frames: true, Accept: protocol.Compressions()}
	for name, test := range map[string]struct {
		change  func(*client.ConsumerOptions)
		request func(*protocol.FetchRequest)
	}{
		"by default": {func(*client.ConsumerOptions) {}, func(*protocol.FetchRequest) {}},
		"latest":     {func(o *client.ConsumerOptions) { o.From = protocol.FromLatest }, func(r *protocol.FetchRequest) { r.From = protocol.FromLatest }},
		"a time":     {func(o *client.ConsumerOptions) { o.Time = &moment }, func(r *protocol.FetchRequest) { r.From, r.Time = "", &moment }},
		"limits": {
			func(o *client.ConsumerOptions) { o.MaxRecords, o.MaxWait, o.WindowBytes = 5, time.Second, 100 },
			func(r *protocol.FetchRequest) { r.MaxRecords, r.MaxWait, r.WindowBytes = 5, 1000, 100 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, f := setup(t, 1)
			f.open(0)
			o, want := f.options(), earliest
			test.change(&o)
			test.request(&want)
			r := read(t, c.Consumer(o).Records(bounded(t)))
			m := next(t, f.fetches)
			if diff := cmp.Diff(want, request(t, m)); diff != "" {
				t.Error(diff)
			}
			f.status(m, protocol.StatusNoRecords, 0)
			r.ended(t)
		})
	}
}

func TestDeliveredBytesAreCredited(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	o := f.options()
	o.WindowBytes = 1000
	r := read(t, c.Consumer(o).Records(bounded(t)))
	m := next(t, f.fetches)
	sent := 0
	for offset := int64(0); offset < 100; offset += 10 {
		sent += f.send(m, offset, offset+9)
	}
	r.want(t, 0, 99)
	f.status(m, protocol.StatusHeartbeat, 100)
	credited := 0
	for last := false; credited < sent && !last; {
		n, err := strconv.Atoi(string(next(t, f.credits).Data))
		if err != nil {
			t.Fatal(err)
		}
		credited = n
	}
	if credited != sent {
		t.Errorf("%d bytes credited, %d sent", credited, sent)
	}
	f.status(m, protocol.StatusHeartbeat, 100)
	if got := string(next(t, f.credits).Data); got != strconv.Itoa(sent) {
		t.Errorf("the answer to an idle heartbeat is %q, want all %d bytes, because a credit may be lost", got, sent)
	}
	f.status(m, protocol.StatusEnd, 100)
	r.ended(t)
}

func TestUndeliveredBytesAreNotCredited(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	o := f.options()
	o.WindowBytes = 4
	pull, stop := iter.Pull2(c.Consumer(o).Records(bounded(t)))
	defer stop()
	go func() {
		m := <-f.fetches
		f.send(m, 0, 0)
		f.send(m, 1, 1)
	}()
	for want := int64(0); want < 2; want++ {
		r, err, _ := pull()
		if err != nil || r.Offset != want {
			t.Fatalf("%+v: %v", r, err)
		}
		if granted := len(f.credits); granted > int(want) {
			t.Errorf("%d credits with offset %d in hand", granted, want)
		}
	}
	next(t, f.credits)
}

func TestMissingMessagesAreFetchedAgain(t *testing.T) {
	for name, send := range map[string]func(*frontend, *nats.Msg){
		"a batch is left out":      func(f *frontend, m *nats.Msg) { f.send(m, 3, 4) },
		"a batch comes twice":      func(f *frontend, m *nats.Msg) { f.send(m, 0, 1) },
		"batches overlap":          func(f *frontend, m *nats.Msg) { f.send(m, 1, 2) },
		"the heartbeat is further": func(f *frontend, m *nats.Msg) { f.status(m, protocol.StatusHeartbeat, 3) },
		"the end is further":       func(f *frontend, m *nats.Msg) { f.status(m, protocol.StatusEnd, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			c, f := setup(t, 1)
			f.open(0)
			r := read(t, c.Consumer(f.options()).Records(bounded(t)))
			m := next(t, f.fetches)
			f.send(m, 0, 1)
			send(f, m)
			again := next(t, f.fetches)
			wantOffset(t, again, 2)
			f.send(again, 2, 3)
			f.status(again, protocol.StatusEnd, 4)
			r.want(t, 0, 3)
			r.ended(t)
		})
	}
}

func TestFetchWithLostMessagesIsCancelled(t *testing.T) {
	for name, send := range map[string]func(*frontend, *nats.Msg){
		"batch":     func(f *frontend, m *nats.Msg) { f.send(m, 3, 4) },
		"gap":       func(f *frontend, m *nats.Msg) { f.gap(m, 3, 4, nil) },
		"heartbeat": func(f *frontend, m *nats.Msg) { f.status(m, protocol.StatusHeartbeat, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			c, f := setup(t, 1)
			f.open(0)
			o := f.options()
			o.Offset = at(0)
			r := read(t, c.Consumer(o).Records(bounded(t)))
			send(f, next(t, f.fetches))
			if got := string(next(t, f.credits).Data); got != protocol.CancelFetch {
				t.Errorf("the frontend received %q, want %q", got, protocol.CancelFetch)
			}
			f.status(next(t, f.fetches), protocol.StatusEnd, 0)
			r.ended(t)
		})
	}
}

func TestFirstMessageThatIsMissingIsFetchedAgain(t *testing.T) {
	for name, send := range map[string]func(*frontend, *nats.Msg){
		"a batch follows": func(f *frontend, m *nats.Msg) { f.sendStarted(m, 5, 7, 8) },
		"the end follows": func(f *frontend, m *nats.Msg) { f.statusStarted(m, protocol.StatusEnd, 5, 9) },
	} {
		t.Run(name, func(t *testing.T) {
			c, f := setup(t, 1)
			f.open(0)
			o := f.options()
			o.From = protocol.FromLatest
			r := read(t, c.Consumer(o).Records(bounded(t)))
			send(f, next(t, f.fetches))
			again := next(t, f.fetches)
			wantOffset(t, again, 5)
			f.send(again, 5, 8)
			f.status(again, protocol.StatusEnd, 9)
			r.want(t, 5, 8)
			r.ended(t)
		})
	}
}

func TestConsumerGivesUpWhereMessagesKeepMissing(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	o := f.options()
	o.Retries = 2
	r := read(t, c.Consumer(o).Records(bounded(t)))
	for range 3 {
		f.sendStarted(next(t, f.fetches), 0, 3, 4)
	}
	if text := r.failed(t, protocol.NewError(protocol.CodeUnavailable, "")); !strings.Contains(text, "offset 0 was expected") {
		t.Errorf("error %s", text)
	}
}

func TestBatchWithoutWantedOffsetIsNotDelivered(t *testing.T) {
	for name, first := range map[string]int64{"before": 3, "behind": 6} {
		t.Run(name, func(t *testing.T) {
			c, f := setup(t, 1)
			f.open(0)
			o := f.options()
			o.Offset = at(5)
			r := read(t, c.Consumer(o).Records(bounded(t)))
			f.send(next(t, f.fetches), first, first+1)
			again := next(t, f.fetches)
			wantOffset(t, again, 5)
			f.status(again, protocol.StatusEnd, 5)
			r.ended(t)
		})
	}
}

func TestInvalidFetchAnswerIsAnError(t *testing.T) {
	frame := protocol.EncodeRecord(protocol.Record{})
	internal, corrupt := protocol.CodeInternal, protocol.CodeCorrupt
	for name, test := range map[string]struct {
		code  protocol.Code
		alter func(*nats.Msg)
	}{
		"no frame":    {corrupt, func(m *nats.Msg) { m.Data = []byte("x") }},
		"cut off":     {corrupt, func(m *nats.Msg) { m.Data = m.Data[:len(m.Data)-1] }},
		"count":       {corrupt, func(m *nats.Msg) { m.Header.Set(protocol.HeaderRecords, "2") }},
		"no count":    {internal, func(m *nats.Msg) { m.Header.Del(protocol.HeaderRecords) }},
		"no records":  {internal, func(m *nats.Msg) { m.Header.Set(protocol.HeaderRecords, "0") }},
		"bad offset":  {internal, func(m *nats.Msg) { m.Header.Set(protocol.HeaderOffset, "-1") }},
		"bad time":    {internal, func(m *nats.Msg) { m.Header.Set(protocol.HeaderTime, "now") }},
		"one record":  {internal, func(m *nats.Msg) { m.Header.Del(protocol.HeaderContentType) }},
		"no status":   {internal, func(m *nats.Msg) { m.Header = nil }},
		"odd status":  {internal, func(m *nats.Msg) { m.Header = nats.Header{protocol.HeaderStatus: {"418"}} }},
		"huge offset": {internal, func(m *nats.Msg) { m.Header.Set(protocol.HeaderOffset, "9223372036854775807") }},
	} {
		t.Run(name, func(t *testing.T) {
			c, f := setup(t, 1)
			f.open(0)
			r := read(t, c.Consumer(f.options()).Records(bounded(t)))
			m := &nats.Msg{Subject: next(t, f.fetches).Reply, Data: slices.Clone(frame), Header: nats.Header{
				protocol.HeaderContentType: {protocol.ContentTypeBatch}, protocol.HeaderOffset: {"0"},
				protocol.HeaderRecords: {"1"}, protocol.HeaderTime: {moment.Format(time.RFC3339Nano)},
			}}
			test.alter(m)
			f.publish(m)
			r.failed(t, protocol.NewError(test.code, ""))
		})
	}
}

func TestFetchEndsAfterMaxRecords(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	o := f.options()
	o.MaxRecords, o.Follow = 3, true
	r := read(t, c.Consumer(o).Records(bounded(t)))
	m := next(t, f.fetches)
	f.send(m, 0, 1)
	f.failFetch(m, protocol.NewError(protocol.CodeUnavailable, ""))
	m = next(t, f.fetches)
	wantOffset(t, m, 2)
	if left := request(t, m).MaxRecords; left != 1 {
		t.Errorf("%d records more were requested", left)
	}
	f.send(m, 2, 9)
	r.want(t, 0, 2)
	r.ended(t)
}

func TestBreakCancelsFetch(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		m := <-f.fetches
		for offset := range int64(1000) {
			f.send(m, offset, offset)
		}
	}()
	for r, err := range c.Consumer(f.options()).Records(bounded(t)) {
		if err != nil || r.Offset != 0 {
			t.Fatalf("%+v: %v", r, err)
		}
		break
	}
	next(t, sent)
	if got := string(next(t, f.credits).Data); got != protocol.CancelFetch {
		t.Errorf("the frontend received %q, want %q", got, protocol.CancelFetch)
	}
}

func TestFollowEndsWithContext(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := f.options()
	o.Follow = true
	r := read(t, c.Consumer(o).Records(ctx))
	m := next(t, f.fetches)
	if !request(t, m).Follow {
		t.Error("the request does not follow")
	}
	f.send(m, 0, 4)
	r.want(t, 0, 4)
	cancel()
	r.failed(t, context.Canceled)
}

func TestClosedClientEndsFetch(t *testing.T) {
	c, f := setup(t, 1)
	f.open(0)
	r := read(t, c.Consumer(f.options()).Records(bounded(t)))
	next(t, f.fetches)
	c.Close()
	r.failed(t, client.ErrClosed)
}
