package e2e

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// startBound starts a deployment with a topic "own" that is bound to orders.>
// and returns.*, made by the command line.
func startBound(ctx context.Context, t *testing.T, kind deployment.Kind, options deployment.Options) (*fixture, jetstream.JetStream) {
	t.Helper()
	f := start(t, kind, options)
	f.Output(f.Laneway(ctx, "topic", "create", "own", "--subjects", "orders.>,returns.*"), nil)
	topic, _, err := client.New(f.conn).Admin().TopicInfo(ctx, "own")
	if err != nil {
		t.Fatal(err)
	}
	f.partition = topic.Partition(0)
	js, err := jetstream.New(f.conn)
	if err != nil {
		t.Fatal(err)
	}
	return f, js
}

// subjects fetches the values of the records with the subjects that they keep.
func (f *fixture) subjects(ctx context.Context, t *testing.T) []string {
	t.Helper()
	c := client.New(f.conn)
	defer c.Close()
	var all []string
	for r, err := range c.Consumer(client.ConsumerOptions{Topic: f.partition.Topic}).Records(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		subject := ""
		for _, h := range r.Headers {
			if h.Name == protocol.HeaderSubject {
				subject += h.Value
			}
		}
		all = append(all, string(r.Value)+" "+subject)
	}
	return all
}

// publishAll sends records "0", "1", … asynchronously from one connection, to
// the subjects in turn, and expects each to be acknowledged.
func publishAll(ctx context.Context, t *testing.T, js jetstream.JetStream, many int, subject func(n int) string) {
	t.Helper()
	var futures []jetstream.PubAckFuture
	for n := range many {
		future, err := js.PublishAsync(subject(n), fmt.Appendf(nil, "%d", n), jetstream.WithStallWait(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		futures = append(futures, future)
	}
	for n, future := range futures {
		select {
		case <-future.Ok():
		case err := <-future.Err():
			t.Fatalf("record %d: %v", n, err)
		case <-ctx.Done():
			t.Fatal(context.Cause(ctx))
		}
	}
}

func TestRecordsKeepBoundSubjects(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f, js := startBound(ctx, t, kind, deployment.Options{})
		ack, err := js.Publish(ctx, "orders.new", []byte("a"), jetstream.WithExpectStream("LANEWAY-own-0"))
		if err != nil || ack.Stream != "LANEWAY-own-0" || ack.Sequence != 1 {
			t.Fatalf("jetstream Publish: %+v, %v", ack, err)
		}
		legacy, err := f.conn.JetStream()
		if err != nil {
			t.Fatal(err)
		}
		if ack, err := legacy.Publish("returns.eu", []byte("b")); err != nil || ack.Sequence != 2 {
			t.Fatalf("the older API: %+v, %v", ack, err)
		}
		if ack := f.request(ctx, t, record("c")); ack.Error != nil || ack.Offset != 2 {
			t.Fatalf("the produce subject: %+v", ack)
		}
		if err := f.conn.Publish("orders.eu.new", []byte("d")); err != nil {
			t.Fatal(err)
		}
		want := "a orders.new|b returns.eu|c |d orders.eu.new"
		err = deployment.Eventually(ctx, func(ctx context.Context) error {
			if got := strings.Join(f.subjects(ctx, t), "|"); got != want {
				return fmt.Errorf("the records are %q, want %q", got, want)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if _, err := js.Publish(ctx, "orders.new", nil, jetstream.WithExpectStream("ORDERS")); err == nil {
			t.Error("another stream was expected, and the record was taken")
		}
		for _, command := range []string{"list", "info own"} {
			if out := f.Output(f.Shell(ctx, "laneway topic "+command), nil); !strings.Contains(out, "orders.> returns.*") {
				t.Errorf("topic %s does not show the subjects:\n%s", command, out)
			}
		}
	})
}

func TestConnectionKeepsOrderAcrossSubjects(t *testing.T) {
	t.Parallel() // it measures no time and no memory
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 2*time.Minute)
		f, js := startBound(ctx, t, kind, stager("--fault", "stage.delay=uniform(0,50ms)"))
		sendTo := []string{"orders.new", f.partition.ProduceSubject(), "returns.eu", "orders.us.old"}
		const many = 5000
		publishAll(ctx, t, js, many, func(n int) string { return sendTo[n%len(sendTo)] })
		got := f.subjects(ctx, t)
		if len(got) != many {
			t.Fatalf("%d records are there, want %d", len(got), many)
		}
		for n, record := range got {
			want := sendTo[n%len(sendTo)]
			if want == f.partition.ProduceSubject() {
				want = ""
			}
			if record != fmt.Sprintf("%d %s", n, want) {
				t.Fatalf("offset %d has %q", n, record)
			}
		}
	})
}

func TestBoundSubjectsOutliveFrontend(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 2*time.Minute)
		f, js := startBound(ctx, t, kind, deployment.Options{})
		publishAll(ctx, t, js, 10, func(int) string { return "orders.before" })
		role := f.Of(deployment.Frontend)
		f.Kill(role)
		f.Restart(role)
		f.AwaitReady(ctx)
		f.AwaitConnected(ctx, f.conn)
		if ack, err := js.Publish(ctx, "orders.after", nil); err != nil || ack.Sequence < 11 {
			t.Fatalf("after a restart: %+v, %v", ack, err)
		}
		f.DeleteTopic(f.conn, "own")
		err := deployment.Eventually(ctx, func(ctx context.Context) error {
			_, err := js.Publish(ctx, "orders.gone", nil, jetstream.WithRetryAttempts(0))
			if !errors.Is(err, jetstream.ErrNoStreamResponse) {
				return fmt.Errorf("a deleted topic's subject answers %w, want no responders", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		f.Output(f.Laneway(ctx, "topic", "create", "another", "--subjects", "orders.*"), nil)
		if ack, err := js.Publish(ctx, "orders.new", nil); err != nil || ack.Stream != "LANEWAY-another-0" || ack.Sequence != 1 {
			t.Errorf("the next topic: %+v, %v", ack, err)
		}
	})
}

func TestUsedSubjectsAreRejected(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f, js := startBound(ctx, t, kind, deployment.Options{})
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.*"}}); err != nil {
			t.Fatal(err)
		}
		for arguments, want := range map[string]string{
			"--subjects 'orders.new'":              "SUBJECT_OVERLAP: a subject overlaps with one that is in use: orders.new overlaps with orders.> of topic own",
			"--subjects 'free' --subjects '*.new'": "SUBJECT_OVERLAP",
			"--subjects 'events.>'":                "events.> overlaps with events.* of the JetStream stream EVENTS",
			"--subjects 'laneway.produce.own.0'":   "laneway.>",
			"--subjects 'a..b'":                    "INVALID_SUBJECT",
			"--subjects 'free' --partitions 2":     "laneway topic mapping refused",
		} {
			code, output, err := deployment.ExitCode(f.Shell(ctx, "laneway topic create refused "+arguments))
			if err != nil {
				t.Fatal(err)
			}
			if code != 1 || !strings.Contains(output, want) {
				t.Errorf("topic create %s ends with %d and says\n%s\nwant 1 and %q", arguments, code, output, want)
			}
		}
		f.Output(f.Laneway(ctx, "topic", "create", "refused", "--subjects", "free"), nil)
	})
}

// partitionOf is NATS' partition(…): FNV-1a of the tokens, one after the other.
func partitionOf(partitions int, tokens ...string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(strings.Join(tokens, "")))
	return int(h.Sum32() % uint32(partitions))
}

func TestPrintedMappingSpreadsSubjects(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.RoleProcesses, stager("--fault", "stage.delay=uniform(0,20ms)"))
	const partitions, keys, many = 4, 25, 1000
	key := func(n int) (string, string) { return fmt.Sprintf("eu%d", n%3), fmt.Sprintf("customer-%d", n%keys) }
	for name, c := range map[string]struct {
		flags   []string
		subject func(region, customer string) string
		want    func(region, customer string) int
	}{
		"plain": {
			nil,
			func(_, customer string) string { return "plain." + customer },
			func(_, customer string) int { return partitionOf(partitions, customer) },
		},
		"both": {
			[]string{"--subject", "both.*.of.*"},
			func(region, customer string) string { return "both." + region + ".of." + customer },
			func(region, customer string) int { return partitionOf(partitions, region, customer) },
		},
		"second": {
			[]string{"--subject", "second.*.*", "--wildcards", "2"},
			func(region, customer string) string { return "second." + region + "." + customer },
			func(_, customer string) int { return partitionOf(partitions, customer) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			f.Output(f.Laneway(ctx, "topic", "create", name, "--partitions", fmt.Sprint(partitions)), nil)
			f.ConfigureNATS(ctx, f.Output(f.Laneway(ctx, append([]string{"topic", "mapping", name}, c.flags...)...), nil))
			js, err := jetstream.New(f.conn)
			if err != nil {
				t.Fatal(err)
			}
			want := make([][]string, partitions)
			for n := range many {
				p := c.want(key(n))
				want[p] = append(want[p], fmt.Sprint(n))
			}
			publishAll(ctx, t, js, many, func(n int) string { return c.subject(key(n)) })
			topic, _, err := client.New(f.conn).Admin().TopicInfo(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			for p := range partitions {
				if len(want[p]) == 0 {
					t.Errorf("the keys leave partition %d empty", p)
				}
				expectValues(t, f.values(ctx, t, topic.Partition(p)), want[p]...)
			}
		})
	}
}
