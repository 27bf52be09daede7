package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/transport"
	"laneway.dev/test/deployment"
	"laneway.dev/test/load"
)

// floodVariable makes the floods last longer, such as 30s, and compares them with a
// service that only echoes.
const floodVariable = "LANEWAY_TEST_FLOOD"

// TestEveryRequestOfAFloodIsAnsweredOrCounted sends requests over many connections, as
// fast as NATS takes them, without waiting for answers.
func TestEveryRequestOfAFloodIsAnsweredOrCounted(t *testing.T) {
	duration, long := time.Second, false
	if text := os.Getenv(floodVariable); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", floodVariable, err)
		}
		long = true
	}
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		for _, size := range []int{100, 64 << 10} {
			t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
				ctx := within(t, 10*duration+30*time.Second)
				f := start(t, kind, deployment.Options{})
				connections, bound := 8, int64(inFlightBudget+256<<20)
				if kind == deployment.OneProcess {
					bound += archiverBudget // while no job needs it, garbage may
				}
				if long {
					connections = 16
				}
				flood := load.Flood{Subject: f.partition.ProduceSubject(), Connections: connections, Bytes: size, Duration: duration}
				count, err := flood.Run(ctx, f.flooding, func() (int, error) { return f.lost(ctx) })
				t.Logf("Laneway: %v", count)
				if err != nil {
					t.Error(err)
				}
				for _, fault := range count.Faults {
					t.Error(fault)
				}
				f.takesRequestsAgain(ctx, t)
				for role, held := range f.memory(t) {
					t.Logf("%s held at most %d MiB", role, held>>20)
					if role != deployment.NATS && held > bound {
						t.Errorf("%s held %d bytes, more than its budget and 256 MiB", role, held)
					}
				}
				if long {
					f.compareWithEcho(ctx, t, flood, count)
				}
			})
		}
	})
}

// What the defaults allow.
const (
	frontendBudget = (256 + 64) << 20 // --max-in-flight-bytes and --cache-bytes
	stagerBudget   = 256 << 20        // --stager-bytes
	archiverBudget = 320 << 20        // --archiver-bytes
	inFlightBudget = frontendBudget + stagerBudget
)

func (f *fixture) flooding() (*nats.Conn, error) {
	return nats.Connect(f.URL(), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.Timeout(time.Minute))
}

// lost returns how many requests the frontend has counted as lost.
func (f *fixture) lost(ctx context.Context) (int, error) {
	dropped, err := f.Metric(ctx, deployment.Frontend, "laneway_frontend_dropped_total")
	if err != nil {
		return 0, err
	}
	unsent, err := f.Metric(ctx, deployment.Frontend, "laneway_frontend_answers_lost_total")
	return int(dropped + unsent), err
}

// takesRequestsAgain returns when a record is acknowledged.
func (f *fixture) takesRequestsAgain(ctx context.Context, t *testing.T) {
	t.Helper()
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		answer, err := f.conn.RequestWithContext(ctx, f.partition.ProduceSubject(), []byte("after the flood"))
		if err != nil {
			return err
		}
		if ack := ackOf(t, answer.Data); ack.Error != nil {
			return ack.Error
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// compareWithEcho floods a service that only echoes, over the same NATS server, and
// checks that Laneway lost no larger share.
func (f *fixture) compareWithEcho(ctx context.Context, t *testing.T, flood load.Flood, laneway load.FloodCount) {
	t.Helper()
	flood.Subject = echoSubject
	f.startEcho(ctx, t)
	patience := time.Now().Add(flood.Duration)
	echo, err := flood.Run(ctx, f.flooding, func() (int, error) {
		if time.Now().After(patience.Add(flood.Duration)) {
			return int(^uint(0) >> 1), nil // it does not say what it has lost
		}
		return 0, nil
	})
	t.Logf("echo: %v", echo)
	if err != nil {
		t.Error(err)
	}
	share := func(c load.FloodCount) float64 { return float64(c.Unanswered()) / float64(max(1, c.Requests)) }
	if share(laneway) > share(echo) {
		t.Errorf("Laneway lost %.2f %% of the requests, a service that echoes lost %.2f %%", 100*share(laneway), 100*share(echo))
	}
}

const (
	echoVariable = "LANEWAY_TEST_ECHO" // makes this binary the service that echoes, on the NATS server it names
	echoSubject  = "echo"
)

// startEcho runs the service that echoes in a process of its own until the test ends.
func (f *fixture) startEcho(ctx context.Context, t *testing.T) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(binary)
	command.Env = append(os.Environ(), echoVariable+"="+f.URL())
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
	})
	err = deployment.Eventually(ctx, func(ctx context.Context) error {
		_, err := f.conn.RequestWithContext(ctx, echoSubject, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// echo answers every request with its body, with the connection settings of a
// frontend, until the process is killed.
func echo(url string) error {
	conn, err := nats.Connect(url, transport.Options("echo", zap.NewNop())...)
	if err != nil {
		return err
	}
	sub, err := conn.QueueSubscribe(echoSubject, echoSubject, func(m *nats.Msg) {
		_ = conn.Publish(m.Reply, m.Data) // what is lost is what the test counts
	})
	if err == nil {
		err = errors.Join(sub.SetPendingLimits(384<<10, 256<<20), conn.Flush())
	}
	if err != nil {
		return err
	}
	select {}
}
