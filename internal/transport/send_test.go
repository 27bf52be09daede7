package transport_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// limited connects to a server with a max_payload.
func limited(t *testing.T, maxPayload int32) *nats.Conn {
	t.Helper()
	server, err := embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir(), MaxPayload: maxPayload})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	conn, err := server.Connect(transport.Options(t.Name(), zap.NewNop())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// sent returns the NATS messages as which envelopes are sent, by subject, and what is in each.
func sent(t *testing.T, conn *nats.Conn, envelopes ...messages.Envelope) map[string][][]messages.Message {
	t.Helper()
	sub, err := conn.SubscribeSync("_laneway.>")
	if err != nil {
		t.Fatal(err)
	}
	transport.NewConnection(conn, zaptest.NewLogger(t)).Send(envelopes)
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	waiting, _, err := sub.Pending()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][][]messages.Message)
	for range waiting {
		m, err := sub.NextMsg(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var parcel []messages.Message
		if err := messages.DecodeParcel(m.Data, func(m messages.Message) { parcel = append(parcel, m) }); err != nil {
			t.Fatal(err)
		}
		all[m.Subject] = append(all[m.Subject], parcel)
	}
	return all
}

func to(subject string, m messages.Message) messages.Envelope {
	return messages.Envelope{Subject: subject, Message: m}
}

func hello(n int) messages.Hello {
	return messages.Hello{Partition: protocol.Partition{Topic: "orders", TopicID: 7, Number: int32(n)}, Term: 1}
}

func TestMessagesOfATurnToOneSubjectTravelTogether(t *testing.T) {
	const first, second = "_laneway.sequencer.0", "_laneway.sequencer.1"
	got := sent(t, limited(t, 0), to(first, hello(1)), to(second, hello(2)), to(first, hello(3)), to(first, hello(4)), to(second, hello(5)))
	want := map[string][][]messages.Message{
		first:  {{hello(1), hello(3), hello(4)}},
		second: {{hello(2), hello(5)}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestParcelAboveMaxPayloadIsDivided has small messages around one that exceeds max_payload by
// itself, so that it is cut between messages first, and one message by its items.
func TestParcelAboveMaxPayloadIsDivided(t *testing.T) {
	const subject = "_laneway.stage"
	const payload = 1000
	stage := func(n, batches int) messages.Stage {
		m := messages.Stage{Partition: hello(n).Partition, Epoch: 1}
		for i := range batches {
			b := messages.StageBatch{Payload: make([]byte, payload)}
			b.Lane, b.Number = "a", uint64(i+1)
			m.Batches = append(m.Batches, b)
		}
		return m
	}
	var envelopes []messages.Envelope
	var want []string
	for n, batches := range []int{1, 1, 1, 9, 1, 2, 1} {
		envelopes = append(envelopes, to(subject, stage(n, batches)))
		for range batches {
			want = append(want, hello(n).Partition.String())
		}
	}
	parcels := sent(t, limited(t, 4*payload), envelopes...)[subject]
	var got []string
	var sizes []int
	for _, parcel := range parcels {
		size := 0
		for _, m := range parcel {
			for range m.(messages.Stage).Batches {
				got = append(got, m.Of().String())
				size++
			}
		}
		sizes = append(sizes, size)
	}
	if !slices.Equal(got, want) {
		t.Errorf("batches of %v, want %v", got, want)
	}
	// The message of nine batches is halved to 4 and 5, 2 and 2, 2 and 3.
	if want := []int{3, 2, 2, 2, 3, 3, 1}; !slices.Equal(sizes, want) {
		t.Errorf("parcels of %v batches, want %v", sizes, want)
	}
}

func TestMessageAboveMaxPayloadThatCannotBeDividedIsLost(t *testing.T) {
	const subject = "_laneway.committed.0"
	large := messages.Committed{Partition: hello(1).Partition, Entry: make([]byte, 4000)}
	got := sent(t, limited(t, 3000), to(subject, hello(1)), to(subject, large), to(subject, hello(2)))
	want := map[string][][]messages.Message{subject: {{hello(1)}, {hello(2)}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
