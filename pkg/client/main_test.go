package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"laneway.dev/internal/embedded"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// patience bounds every wait for something that should happen at once. It only decides
// how long a failing test hangs, so it is long enough for a busy machine.
const patience = time.Minute

var server *embedded.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "laneway-client")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	server, err = embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: folder})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := errors.Join(server.Shutdown(), stopServing()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

func connect(t testing.TB) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(server.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// next receives from a channel.
func next[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing was received")
		panic("unreachable")
	}
}

func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// values returns the records of a frame.
func values(t testing.TB, frame []byte) []string {
	t.Helper()
	r, err := protocol.NewFrameReader(frame)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []string
	for rec, ok := r.Next(); ok; rec, ok = r.Next() {
		all = append(all, string(rec.Value))
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return all
}

// single is a BatchBytes that gives every record its own batch.
const single = 1

// produce starts a producer. Its attempts time out only if the test sets a timeout.
func produce(t testing.TB, c *client.Client, f *frontend, o client.ProducerOptions) *client.Producer {
	t.Helper()
	if o.AttemptTimeout == 0 {
		o.AttemptTimeout = time.Hour
	}
	p, err := c.Producer(bounded(t), f.topic.Name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		p.Close(ended)
	})
	return p
}

// publish publishes values and returns the future of the last one.
func publish(t testing.TB, p *client.Producer, values ...string) (last client.Future) {
	t.Helper()
	for _, v := range values {
		future, err := p.Publish(bounded(t), client.ProducerRecord{Value: []byte(v)})
		if err != nil {
			t.Fatal(err)
		}
		last = future
	}
	return last
}

// background makes a call in a goroutine, and returns a channel with its error.
func background(call func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- call() }()
	return result
}

// soon returns a context for a call that must block: it ends after a short time.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func number(t testing.TB, m *nats.Msg, header string) int {
	t.Helper()
	n, err := strconv.Atoi(m.Header.Get(header))
	if err != nil {
		t.Fatalf("header %s: %v in %v", header, err, m.Header)
	}
	return n
}

// sent checks the headers and the records of a batch.
func sent(t testing.TB, m *nats.Msg, sequence, firstUnacked int, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, values(t, m.Data)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	got := []int{
		number(t, m, protocol.HeaderProducerID), number(t, m, protocol.HeaderProducerEpoch),
		number(t, m, protocol.HeaderSequence), number(t, m, protocol.HeaderFirstUnacked),
	}
	if diff := cmp.Diff([]int{producerID, producerEpoch, sequence, firstUnacked}, got); diff != "" {
		t.Errorf("id, epoch, sequence and first unacked (-want +got):\n%s", diff)
	}
}

// request decodes a fetch request.
func request(t testing.TB, m *nats.Msg) protocol.FetchRequest {
	t.Helper()
	var r protocol.FetchRequest
	if err := json.Unmarshal(m.Data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// wantOffset checks where a request starts.
func wantOffset(t testing.TB, m *nats.Msg, want int64) {
	t.Helper()
	if r := request(t, m); r.Offset == nil || *r.Offset != want || r.From != "" || r.Time != nil {
		t.Fatalf("requested %s, want offset %d", m.Data, want)
	}
}

// reading is an iteration in its own goroutine.
type reading struct {
	offsets chan int64
	err     chan error // how it ended; nil means success
}

func read(t testing.TB, records iter.Seq2[client.Record, error]) reading {
	r := reading{make(chan int64, 4096), make(chan error, 1)}
	go func() {
		for record, err := range records {
			if err != nil {
				r.err <- err
				return
			}
			if string(record.Value) != value(record.Offset) {
				t.Errorf("offset %d has %q", record.Offset, record.Value)
			}
			r.offsets <- record.Offset
		}
		r.err <- nil
	}()
	return r
}

// want checks the next offsets.
func (r reading) want(t testing.TB, first, last int64) {
	t.Helper()
	for want := first; want <= last; want++ {
		if got := next(t, r.offsets); got != want {
			t.Fatalf("got offset %d, want %d", got, want)
		}
	}
}

func (r reading) ended(t testing.TB) {
	t.Helper()
	if err := next(t, r.err); err != nil {
		t.Fatal(err)
	}
	if len(r.offsets) > 0 {
		t.Fatalf("got %d records more", len(r.offsets))
	}
}

// failed checks the error that ended the reading and returns its text.
func (r reading) failed(t testing.TB, want error) string {
	t.Helper()
	err := next(t, r.err)
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	return err.Error()
}

func at(offset int64) *int64 { return &offset }
