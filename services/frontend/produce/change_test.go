package produce

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/embedded/embeddedtest"
)

// receiver keeps what an intake has handled, by subject.
type receiver struct {
	mu        sync.Mutex
	bySubject map[string][]string
}

func (r *receiver) take(m *nats.Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bySubject[m.Subject] = append(r.bySubject[m.Subject], string(m.Data))
	if m.Reply != "" {
		_ = m.Respond(nil)
	}
}

func (r *receiver) of(subject string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bySubject[subject])
}

// openReceiver opens an intake over its own connection. The test publishes over conn.
func openReceiver(t *testing.T, subjects ...string) (conn *nats.Conn, in *intake, r *receiver) {
	t.Helper()
	conn, _ = embeddedtest.Start(t)
	own, err := conn.Opts.Connect() // to the same server
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.Close)
	r = &receiver{bySubject: make(map[string][]string)}
	in, err = openIntake(startArrivals(t, own), subjects, r.take, zap.NewNop())
	if err == nil {
		err = own.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return conn, in, r
}

func (in *intake) mustChange(t *testing.T, subjects ...string) {
	t.Helper()
	if err := in.change(t.Context(), subjects); err != nil {
		t.Fatal(err)
	}
}

// flood publishes numbers to a subject until stop is called, which returns how many.
func flood(t *testing.T, conn *nats.Conn, subject string) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	many := make(chan int, 1)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			if err := conn.Publish(subject, strconv.AppendInt(nil, int64(n), 10)); err != nil {
				t.Error(err)
			}
			if n%100 == 0 {
				_ = conn.Flush() // bounds what waits, so that the limits of the client are not reached
			}
		}
		_ = conn.Flush()
		many <- n
	}()
	return func() int {
		cancel()
		return <-many
	}
}

func TestChangeLosesNoRequestToASubjectThatStays(t *testing.T) {
	for name, c := range map[string]struct {
		before []string
		after  [][]string
	}{
		"the first subjects are bound": {[]string{"own"}, [][]string{{"a", "b.>", "own"}}},
		"subjects come and go": {
			[]string{"a", "own"}, [][]string{{"a", "b", "own"}, {"b", "own"}, {"own"}, {"own", "c"}, {"own", "c", "d"}, {"d", "own"}},
		},
		"a subject is widened":  {[]string{"x.y", "own"}, [][]string{{"x.>", "own"}, {"x.y", "own"}}},
		"the order is another":  {[]string{"a", "own"}, [][]string{{"own", "a"}}},
		"nothing is to be done": {[]string{"own"}, [][]string{{"own"}}},
	} {
		t.Run(name, func(t *testing.T) {
			conn, in, r := openReceiver(t, c.before...)
			stop := flood(t, conn, "own")
			for range 5 {
				for _, subjects := range append(c.after, c.before) {
					in.mustChange(t, subjects...)
				}
			}
			many := stop()
			if err := in.close(); err != nil {
				t.Fatal(err)
			}
			got := r.of("own")
			if len(got) != many {
				t.Fatalf("%d requests of %d were handled", len(got), many)
			}
			for n, number := range got {
				if number != strconv.Itoa(n) {
					t.Fatalf("request %s was handled as number %d", number, n)
				}
			}
			expectNoSubscriber(t, conn, slices.Concat(c.before, []string{"a", "b", "c", "d"}))
		})
	}
}

func TestChangeIsInForceWhenItReturns(t *testing.T) {
	conn, in, r := openReceiver(t, "own")
	expectSubscribed := func(subjects ...string) {
		t.Helper()
		for _, subject := range subjects {
			if _, err := conn.Request(subject, []byte("x"), time.Minute); err != nil {
				t.Errorf("%s: %v", subject, err)
			}
		}
	}
	in.mustChange(t, "a", "own")
	expectSubscribed("a", "own")
	in.mustChange(t, "b", "own")
	expectSubscribed("b", "own")
	expectNoSubscriber(t, conn, []string{"a"})
	in.mustChange(t, "own")
	expectSubscribed("own")
	expectNoSubscriber(t, conn, []string{"a", "b"})
	if err := in.close(); err != nil {
		t.Fatal(err)
	}
	if got := len(r.of("own")); got != 3 {
		t.Errorf("%d requests were handled, want 3", got)
	}
	in.mustChange(t, "a", "own") // the topic is deleted meanwhile
	expectNoSubscriber(t, conn, []string{"a", "own"})
}

// What has arrived before the change comes before everything that arrives after it.
func TestChangeKeepsTheOrderOfWhatWaits(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	var got []string
	entered, resume := make(chan struct{}), make(chan struct{})
	in, err := openIntake(startArrivals(t, conn), []string{"own"}, func(m *nats.Msg) {
		if got = append(got, string(m.Data)); len(got) == 1 {
			close(entered)
			<-resume
		}
	}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	publish := func(subject, data string) {
		if err := conn.Publish(subject, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	publish("own", "1")
	publish("own", "2")
	<-entered
	changed := make(chan error, 1)
	go func() { changed <- in.change(t.Context(), []string{"a", "own"}) }()
	awaitSubjects(t, in, 2)
	publish("a", "3")
	publish("own", "4")
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	close(resume)
	if err := <-changed; err != nil {
		t.Fatal(err)
	}
	if err := in.close(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, []string{"1", "2", "3", "4"}) {
		t.Errorf("requests were handled in the order %v", got)
	}
}

// awaitSubjects returns when an intake has a number of subscriptions.
func awaitSubjects(t *testing.T, in *intake, many int) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-ticker.C {
		in.mu.Lock()
		subscribed := len(in.subs)
		in.mu.Unlock()
		if subscribed == many {
			return
		}
	}
	t.Fatalf("the intake has not %d subscriptions", many)
}

func TestAPauseEndsWithTheSubjectsThatChangedInIt(t *testing.T) {
	for name, before := range map[string][]string{"one subject": {"own"}, "two subjects": {"gone", "own"}} {
		t.Run(name, func(t *testing.T) {
			conn, _ := embeddedtest.Start(t)
			entered, resume := make(chan struct{}), make(chan struct{})
			first := sync.OnceFunc(func() { close(entered); <-resume })
			in, err := openIntake(startArrivals(t, conn), before, func(m *nats.Msg) {
				first()
				_ = m.Respond(nil)
			}, zap.NewNop())
			if err == nil {
				err = conn.Publish("own", nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			<-entered
			in.pause()
			in.mustChange(t, "a", "own")
			close(resume)
			awaitSubscribed(t, in)
			for _, subject := range []string{"a", "own"} {
				if _, err := conn.Request(subject, nil, time.Minute); err != nil {
					t.Errorf("%s: %v", subject, err)
				}
			}
			expectNoSubscriber(t, conn, []string{"gone"})
			if err := in.close(); err != nil {
				t.Error(err)
			}
		})
	}
}
