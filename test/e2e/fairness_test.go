package e2e

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// TestNeighboursOfAFloodKeepTheirLatency compares how long single records of a partition wait while
// nothing else happens with how long they wait while another partition of the same log is flooded.
func TestNeighboursOfAFloodKeepTheirLatency(t *testing.T) {
	const records, atMost = 300, 20 // ten times what should hold, since the machine may be busy
	for name, flood := range map[string]func(context.Context, *testing.T, *nats.Conn, protocol.Partition){
		"batches": floodBatches, "single records": floodRecords,
	} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t, time.Minute)
			f := start(t, deployment.OneProcess, deployment.Options{})
			flooded, neighbour := f.neighbours(ctx, t)
			quiet := f.latency(ctx, t, neighbour, records)
			flooding, end := context.WithCancel(ctx)
			var wait sync.WaitGroup
			conn := f.Connect()
			wait.Go(func() { flood(flooding, t, conn, flooded) })
			f.latency(ctx, t, neighbour, records/10) // until the flood has risen
			busy := f.latency(ctx, t, neighbour, records)
			end()
			wait.Wait()
			t.Logf("a record waits %s, and %s beside the flood", quiet, busy)
			if busy > atMost*quiet {
				t.Errorf("a record waits %s beside the flood, and %s without", busy, quiet)
			}
		})
	}
}

// neighbours creates a topic, and returns two of its partitions that are in the same log.
func (f *fixture) neighbours(ctx context.Context, t *testing.T) (a, b protocol.Partition) {
	t.Helper()
	topic, err := client.New(f.conn).Admin().CreateTopic(ctx, protocol.TopicConfig{Name: "shared", Partitions: 64})
	if err != nil {
		t.Fatal(err)
	}
	byLog := make(map[uint16]protocol.Partition)
	for n := range topic.Partitions {
		p := topic.Partition(n)
		if q, taken := byLog[p.Log]; taken {
			return p, q
		}
		byLog[p.Log] = p
	}
	t.Fatal("no two partitions are in the same log")
	return a, b
}

// latency returns the median of the times that single records wait for their acknowledgement.
func (f *fixture) latency(ctx context.Context, t *testing.T, p protocol.Partition, records int) time.Duration {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	waits := make([]time.Duration, records)
	for n := range waits {
		<-ticker.C
		sent := time.Now()
		answer, err := f.conn.RequestWithContext(ctx, p.ProduceSubject(), make([]byte, 1024))
		if err != nil {
			t.Fatal(err)
		}
		waits[n] = time.Since(sent)
		if ack := ackOf(t, answer.Data); ack.Error != nil {
			t.Fatal(ack.Error)
		}
	}
	slices.Sort(waits)
	return waits[len(waits)/2]
}

// floodBatches sends as many records as the client can to a partition.
func floodBatches(ctx context.Context, t *testing.T, conn *nats.Conn, to protocol.Partition) {
	p, err := client.New(conn).Producer(ctx, to.Topic, client.ProducerOptions{Partition: &to.Number})
	if err != nil {
		t.Error(err)
		return
	}
	sent := 0
	for ; ctx.Err() == nil; sent++ {
		if _, err := p.Publish(ctx, client.ProducerRecord{Value: make([]byte, 1024)}); err != nil && ctx.Err() == nil {
			t.Error(err)
			return
		}
	}
	t.Logf("%d records were sent beside", sent)
	closing, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.Close(closing); err != nil {
		t.Error(err)
	}
}

// floodRecords keeps many single records in flight to a partition.
func floodRecords(ctx context.Context, t *testing.T, conn *nats.Conn, to protocol.Partition) {
	var wait sync.WaitGroup
	for range 256 {
		wait.Go(func() {
			for ctx.Err() == nil {
				if _, err := conn.RequestWithContext(ctx, to.ProduceSubject(), make([]byte, 1024)); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
}
