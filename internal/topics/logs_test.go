package topics_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/protocol"
)

// decide lets a process decide about the number of logs.
func decide(ctx context.Context, t *testing.T, r *topics.Registry, wanted int) int {
	t.Helper()
	number, err := r.DecideLogs(ctx, wanted)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

// logsOf returns how many logs the partitions of a topic are in.
func logsOf(topic protocol.Topic) int {
	used := make(map[uint16]bool)
	for n := range topic.Partitions {
		used[topic.Partition(n).Log] = true
	}
	return len(used)
}

func TestNumberOfLogsIsChosenOnce(t *testing.T) {
	for name, c := range map[string]struct{ wanted, is, other int }{
		"one":         {1, 1, 4},
		"eight":       {8, 8, 4},
		"the default": {0, topics.DefaultLogs, topics.DefaultLogs + 1},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, registry, _ := open(t)
			if got := decide(ctx, t, registry, c.wanted); got != c.is {
				t.Errorf("%d logs, want %d", got, c.is)
			}
			for _, same := range []int{0, c.is} {
				if got := decide(ctx, t, registry, same); got != c.is {
					t.Errorf("later, and with %d: %d logs, want %d", same, got, c.is)
				}
			}
			_, err := registry.DecideLogs(ctx, c.other)
			wantCode(t, err, protocol.CodeLogsMismatch)
			topic := create(ctx, t, registry, "orders", 64)
			if got := logsOf(topic); topic.Logs != c.is || got != c.is {
				t.Errorf("the topic has %d logs, and its partitions are in %d, want %d", topic.Logs, got, c.is)
			}
		})
	}
}

func TestProcessesThatStartTogetherHaveTheSameNumberOfLogs(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const most = 8
	var numbers [most]int
	var errs [most]error
	var all sync.WaitGroup
	for n := range most {
		registry, err := topics.Open(ctx, conn, js)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() { numbers[n], errs[n] = registry.DecideLogs(ctx, n+1) })
	}
	all.Wait()
	started := 0
	for n, err := range errs {
		if err != nil {
			wantCode(t, err, protocol.CodeLogsMismatch)
			continue
		}
		if started++; numbers[n] != n+1 {
			t.Errorf("process %d has %d logs", n, numbers[n])
		}
	}
	if started != 1 {
		t.Errorf("%d of %d processes with different numbers have started, want one", started, most)
	}
}

func TestNumberOfLogsIsFoundAgainWhenItsBucketIsLost(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	decide(ctx, t, registry, 6)
	topic := create(ctx, t, registry, "orders", 32)
	for _, lost := range []string{"LANEWAY_CLUSTER", "LANEWAY_TOPICS"} {
		if err := js.DeleteKeyValue(ctx, "LANEWAY_CLUSTER"); err != nil {
			t.Fatal(err)
		}
		if lost != "LANEWAY_CLUSTER" {
			if err := js.DeleteKeyValue(ctx, lost); err != nil {
				t.Fatal(err)
			}
			found, err := topics.FromLogs(ctx, conn, js, "orders")
			if err != nil || found.Logs != 6 {
				t.Fatalf("the topic is %+v, %v", found, err)
			}
			for n := range topic.Partitions {
				if found.Partition(n) != topic.Partition(n) {
					t.Errorf("partition %+v, want %+v", found.Partition(n), topic.Partition(n))
				}
			}
			if registry, err = topics.Open(ctx, conn, js); err != nil {
				t.Fatal(err)
			}
		}
		_, err := registry.DecideLogs(ctx, 4)
		wantCode(t, err, protocol.CodeLogsMismatch)
		if got := decide(ctx, t, registry, 0); got != 6 {
			t.Errorf("without %s, and the flag: %d logs, want 6", lost, got)
		}
	}
}

func TestDamagedNumberOfLogsIsReported(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	decide(ctx, t, registry, 0)
	kv, err := js.KeyValue(ctx, "LANEWAY_CLUSTER")
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range []string{"", "x", "0", "65", "-4"} {
		if _, err := kv.PutString(ctx, "logs", damaged); err != nil {
			t.Fatal(err)
		}
		_, err := registry.DecideLogs(ctx, 0)
		wantCode(t, err, protocol.CodeCorrupt)
		_, err = registry.Create(ctx, protocol.TopicConfig{Name: "orders"})
		wantCode(t, err, protocol.CodeCorrupt)
	}
}
