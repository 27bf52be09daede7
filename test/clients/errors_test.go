package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
)

// class is how programs distinguish errors: code and err_code of an answer,
// or the client's own error.
func class(err error) string {
	var answer *jetstream.APIError
	var older *nats.APIError
	switch {
	case err == nil:
		return "no error"
	case errors.As(err, &answer):
		return fmt.Sprintf("%d/%d", answer.Code, answer.ErrorCode)
	case errors.As(err, &older):
		return fmt.Sprintf("%d/%d", older.Code, older.ErrorCode)
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return "no responders" // the older API has two errors for it
	}
	return err.Error()
}

// wrong are requests that fail in the same way as with JetStream. Each is made
// after one that was good, whose message id is "first".
var wrong = []struct {
	name    string
	request func(p place) (*nats.Msg, options)
	want    string // class
}{
	{"an unknown topic", func(p place) (*nats.Msg, options) {
		return &nats.Msg{Subject: "laneway.produce.nothing.0"}, options{}
	}, "no responders"},
	{"an unknown partition", func(p place) (*nats.Msg, options) {
		return &nats.Msg{Subject: p.subject + "7"}, options{}
	}, "no responders"},
	{"another stream", func(p place) (*nats.Msg, options) {
		return &nats.Msg{Subject: p.subject}, options{stream: "OTHER"}
	}, "400/10060"},
	{"another last sequence", func(p place) (*nats.Msg, options) {
		other := uint64(7)
		return &nats.Msg{Subject: p.subject}, options{lastSequence: &other}
	}, "400/10071"},
	{"another last message id", func(p place) (*nats.Msg, options) {
		return &nats.Msg{Subject: p.subject}, options{lastID: "other"}
	}, "400/10070"},
	{"a record that is too large", func(p place) (*nats.Msg, options) {
		return &nats.Msg{Subject: p.subject, Data: bytes.Repeat([]byte("x"), protocol.DefaultMaxRecordBytes+1)}, options{}
	}, "400/10054"},
}

func testErrorsAreThoseOfJetStream(t *testing.T, f *fixture) {
	places := []place{f.laneway, f.twin(t)}
	for _, p := range places {
		first := &nats.Msg{Subject: p.subject, Data: []byte("good")}
		if _, err := publishNew(f.ctx, f.conn, first, options{id: "first"}); err != nil {
			t.Fatalf("%s: %v", p.stream, err)
		}
	}
	for _, w := range wrong {
		for _, publisher := range publishers {
			for _, p := range places {
				m, o := w.request(p)
				if _, err := publisher.publish(f.ctx, f.conn, m, o); class(err) != w.want {
					t.Errorf("%s by %s to %s: %s (%v), want %s", w.name, publisher.name, p.stream, class(err), err, w.want)
				}
			}
		}
	}
	f.expectValues(t, "good")
}

// bufferless is a NATS server whose streams take a few waiting messages only.
const bufferless = `
jetstream {
  store_dir: %q
  max_buffered_msgs: 8
  sync_interval: always
}
`

// burst publishes many records without waiting for anything, and counts the
// outcomes by their class.
func burst(ctx context.Context, t *testing.T, conn *nats.Conn, subject string) map[string]int {
	t.Helper()
	const many = 5 * limit
	js := newJetStream(t, conn, jetstream.WithPublishAsyncMaxPending(many))
	futures := make([]jetstream.PubAckFuture, many)
	for n := range futures {
		var err error
		if futures[n], err = js.PublishAsync(subject, []byte(numbered(n))); err != nil {
			t.Fatal(err)
		}
	}
	outcomes := make(map[string]int)
	for _, future := range futures {
		select {
		case <-future.Ok():
			outcomes[class(nil)]++
		case err := <-future.Err():
			outcomes[class(err)]++
		case <-ctx.Done():
			t.Fatal(context.Cause(ctx))
		}
	}
	return outcomes
}

func testOverload(t *testing.T, f *fixture) {
	twin := deployment.StartNATS(t, fmt.Sprintf(bufferless, t.TempDir()))
	other, err := nats.Connect(twin)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	config := jetstream.StreamConfig{Name: "TWIN", Subjects: []string{"twin"}}
	if _, err := newJetStream(t, other).CreateStream(f.ctx, config); err != nil {
		t.Fatal(err)
	}
	const overloaded = "429/10167"
	if outcomes := burst(f.ctx, t, other, "twin"); outcomes[overloaded] == 0 {
		t.Errorf("JetStream answered %v", outcomes)
	}
	outcomes := burst(f.ctx, t, f.conn, f.laneway.subject)
	t.Logf("Laneway answered %v", outcomes)
	if outcomes[overloaded] == 0 || outcomes[overloaded]+outcomes[class(nil)] != 5*limit {
		t.Errorf("Laneway answered %v", outcomes)
	}
	records := f.records(t)
	if len(records) != outcomes[class(nil)] {
		t.Errorf("the topic has %d records, %d were acknowledged", len(records), outcomes[class(nil)])
	}
	if err := history.SendOrder(records); err != nil { // of what was admitted
		t.Error(err)
	}
}
