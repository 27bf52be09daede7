package client_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// positions answers init as if a named producer had come so far.
func (f *frontend) positions(positions ...protocol.ProducerPosition) (asked *atomic.Pointer[protocol.ProducerInitRequest]) {
	asked = new(atomic.Pointer[protocol.ProducerInitRequest])
	f.answerInit(func(r protocol.ProducerInitRequest) protocol.ProducerInitResponse {
		asked.Store(&r)
		return protocol.ProducerInitResponse{ProducerID: producerID, ProducerEpoch: producerEpoch, Positions: positions}
	})
	return asked
}

func (f *frontend) position(partition int32, last *int32) protocol.ProducerPosition {
	return protocol.ProducerPosition{Topic: f.topic.Name, Partition: partition, LastSequence: last}
}

func TestANamedProducerGoesOnWhereTheLogEnds(t *testing.T) {
	c, f := setup(t, 3)
	f.receive(1)
	asked := f.positions(f.position(2, new(int32(math.MaxInt32))), f.position(1, new(int32(8))), f.position(0, nil))
	p := produce(t, c, f, client.ProducerOptions{Name: "importer", BatchBytes: single})
	if instance := asked.Load().Instance; instance == "" {
		t.Error("it does not say which instance it is")
	}
	asked.Load().Instance = ""
	if diff := cmp.Diff(protocol.ProducerInitRequest{Name: "importer", Topics: []string{f.topic.Name}}, *asked.Load()); diff != "" {
		t.Error(diff)
	}
	for partition, want := range []int32{0, 9, 0, 0} {
		if got := p.NextSequence(int32(partition)); got != want {
			t.Errorf("partition %d goes on at %d, want %d", partition, got, want)
		}
	}
	other := produce(t, c, f, client.ProducerOptions{Name: "importer", Partition: new(int32(0))})
	if got := other.NextSequence(1); got != 0 {
		t.Errorf("a partition that is not sent to goes on at %d", got)
	}
	publish(t, p, "to partition 0", "to partition 1")
	sent(t, next(t, f.produced), 9, 9, "to partition 1")
}

func TestAPositionThatIsForgottenIsNotGuessed(t *testing.T) {
	c, f := setup(t, 2)
	forgotten := f.position(1, nil)
	forgotten.Expired = true
	f.positions(f.position(0, nil), forgotten)
	_, err := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{Name: "importer"})
	if !errors.Is(err, protocol.NewError(protocol.CodePositionExpired, "")) || !strings.Contains(err.Error(), f.topic.Name+"/1") {
		t.Errorf("error %v", err)
	}
	// It does not matter to a producer that sends elsewhere.
	produce(t, c, f, client.ProducerOptions{Name: "importer", Partition: new(int32(0))})
}

func TestAnInitThatMakesNoSenseIsAnError(t *testing.T) {
	c, f := setup(t, 1)
	internal := protocol.NewError(protocol.CodeInternal, "")
	f.positions()
	if _, err := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{Name: "importer"}); !errors.Is(err, internal) {
		t.Errorf("without a position: %v", err)
	}
	f.answerInit(func(protocol.ProducerInitRequest) protocol.ProducerInitResponse {
		return protocol.ProducerInitResponse{}
	})
	if _, err := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{}); !errors.Is(err, internal) {
		t.Errorf("without an id: %v", err)
	}
	_, err := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{Name: strings.Repeat("x", protocol.MaxProducerName+1)})
	if !errors.Is(err, protocol.NewError(protocol.CodeInvalidRequest, "")) {
		t.Errorf("with a long name: %v", err)
	}
}

func TestAStartIsTriedAgainWhileTheErrorMayPass(t *testing.T) {
	c, f := setup(t, 1)
	var asked atomic.Int32
	f.answerInit(func(protocol.ProducerInitRequest) protocol.ProducerInitResponse {
		if asked.Add(1) < 3 {
			return protocol.ProducerInitResponse{Error: protocol.NewError(protocol.CodeUnavailable, "")}
		}
		return protocol.ProducerInitResponse{ProducerID: producerID, ProducerEpoch: producerEpoch}
	})
	produce(t, c, f, client.ProducerOptions{})
	if asked.Load() != 3 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestAStartWithoutLanewayEndsWithItsContextAndSaysWhatIsMissing(t *testing.T) {
	c, err := client.Connect(server.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = startInVain(t, c, "orders", nats.ErrNoResponders) // which is all that is wanted
}

// startInVain starts a producer with more and more time until there is enough to get
// to know why that fails, and returns the error. It always ends with its context.
func startInVain(t *testing.T, c *client.Client, topic string, why error) error {
	t.Helper()
	for limit := 200 * time.Millisecond; ; limit *= 2 {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		_, err := c.Producer(ctx, topic, client.ProducerOptions{})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || limit > patience {
			t.Fatalf("error %v", err)
		}
		if errors.Is(err, why) {
			return err
		}
	}
}

func TestAProducerNeedsATopicAndAPartitionOfIt(t *testing.T) {
	c, f := setup(t, 2)
	unknown := protocol.NewError(protocol.CodeUnknownTopic, "")
	if _, err := c.Producer(bounded(t), "nothing", client.ProducerOptions{}); !errors.Is(err, unknown) {
		t.Errorf("error %v", err)
	}
	for _, n := range []int32{-1, 2} {
		if _, err := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{Partition: &n}); !errors.Is(err, unknown) {
			t.Errorf("error %v", err)
		}
	}
}

func TestADeliveryTimeoutBeyondThePartitionsMemoryIsRefused(t *testing.T) {
	c, f := setup(t, 1)
	f.topic.ProducerExpiryMS = protocol.MinProducerExpiry.Milliseconds()
	_, err := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{DeliveryTimeout: protocol.MinProducerExpiry})
	if !errors.Is(err, protocol.NewError(protocol.CodeInvalidRequest, "")) || !strings.Contains(err.Error(), "10m0s") {
		t.Errorf("error %v", err)
	}
}
