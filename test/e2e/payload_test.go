package e2e

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// smallPayload is the max_payload that NATS has by default.
const smallPayload = 1 << 20

func startSmall(t *testing.T) *fixture {
	t.Helper()
	return start(t, deployment.RoleProcesses, deployment.Options{NATS: fmt.Sprintf("\nmax_payload: %d\n", smallPayload)})
}

func TestTopicIsLimitedToWhatNATSCarries(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	f := startSmall(t)
	code, output, err := deployment.ExitCode(f.Laneway(ctx, "topic", "create", "large", "--max-record-bytes", "2MiB"))
	if err != nil || code != 1 || !bytes.Contains([]byte(output), []byte("max_payload")) {
		t.Errorf("exit code %d (%v), it does not name max_payload:\n%s", code, err, output)
	}
	c := client.New(f.conn)
	defer c.Close()
	topic, err := c.Admin().CreateTopic(ctx, protocol.TopicConfig{Name: "default"})
	if err != nil {
		t.Fatal(err)
	}
	if most := topic.MaxRecordBytes; most >= smallPayload || most < smallPayload/2 {
		t.Errorf("records of up to %d bytes are promised with a max_payload of %d", most, smallPayload)
	}
	producer, err := c.Producer(ctx, topic.Name, client.ProducerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	largest := bytes.Repeat([]byte("x"), topic.MaxRecordBytes)
	if _, err := producer.Publish(ctx, client.ProducerRecord{Value: largest}); err != nil {
		t.Error(err)
	}
	if err := producer.Close(ctx); err != nil {
		t.Fatalf("a record of the promised size: %v", err)
	}
	for _, err := range c.Consumer(client.ConsumerOptions{Topic: topic.Name, MaxRecords: 1}).Records(ctx) {
		if err != nil {
			t.Errorf("a record of the promised size cannot be read: %v", err)
		}
	}
}

func TestBurstFillingSmallMessageIsStagedAtOnce(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	f := startSmall(t)
	inbox := f.conn.NewRespInbox()
	answers, err := f.conn.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	// What comes together is staged together, in messages of up to a MiB of payloads:
	// that of sixteen of these, and what is said of each.
	const records = 512
	value := bytes.Repeat([]byte("x"), 64<<10-40)
	for range records {
		if err := f.conn.PublishRequest(f.partition.ProduceSubject(), inbox, value); err != nil {
			t.Fatal(err)
		}
	}
	for range records {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if ack := ackOf(t, m.Data); ack.Error != nil {
			t.Fatal(ack.Error)
		}
	}
	if again := f.MustMetric(deployment.Frontend, "laneway_frontend_restaged_total"); again != 0 {
		t.Errorf("%v batches had to be staged again", again)
	}
}
