package fetch

import (
	"fmt"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

func TestGoClientReadsWhatWasCommitted(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Heartbeat = 20 * time.Millisecond })
	var want []string
	for range 50 {
		batch := lines(fmt.Sprint(len(want)), "", fmt.Sprint(len(want)+2))
		want = append(want, fmt.Sprint(len(want)), "", fmt.Sprint(len(want)+2))
		f.tell(batch, nil)
	}
	c := client.New(f.conn)
	t.Cleanup(c.Close)
	for _, options := range []client.ConsumerOptions{
		{WindowBytes: 20},
		{},
		{Follow: true, MaxRecords: int64(len(want))},
	} {
		options.Topic, options.Partition = f.topic.Name, new(int32(0))
		at := int64(0)
		for record, err := range c.Consumer(options).Records(f.context()) {
			must(t, err)
			if record.Offset != at || string(record.Value) != want[at] {
				t.Fatalf("offset %d is %d with %q, wanted %q", at, record.Offset, record.Value, want[at])
			}
			at++
		}
		if at != int64(len(want)) {
			t.Errorf("%+v: %d records of %d", options, at, len(want))
		}
	}
}

func TestGoClientUnderstandsErrors(t *testing.T) {
	f := newFixture(t, nil)
	beyond := int64(5)
	c := client.New(f.conn)
	t.Cleanup(c.Close)
	for _, err := range c.Consumer(client.ConsumerOptions{Topic: f.topic.Name, Partition: new(int32(0)), Offset: &beyond}).Records(f.context()) {
		if known := protocol.AsError(err); known.Code != protocol.CodeOffsetOutOfRange || known.Detail != "5, the partition has 0 to 0" {
			t.Errorf("error is %v", err)
		}
	}
}
