package fetch

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

func TestFetchPausesWithoutCreditAndGoesOnWithIt(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Heartbeat = 30 * time.Millisecond })
	f.commit(lines("aa"), lines("bb"), lines("cc"), lines("dd"))
	c := f.fetch(fields{"offset": 0, "window_bytes": 3})
	first := c.data()
	if !strings.HasPrefix(first.Reply, protocol.CreditPrefix) {
		t.Errorf("reply is %q", first.Reply)
	}
	if second := c.data(); second.Reply != first.Reply {
		t.Errorf("replies %q and %q", first.Reply, second.Reply)
	}
	idle := c.status(protocol.StatusHeartbeat) // a message for each credit left; now it is -1
	expectOffsets(t, idle, 2, 4)
	c.grant(idle, 1)
	c.grant(c.status(protocol.StatusHeartbeat), 1)
	expectHeader(t, c.beyondBeats(), protocol.HeaderOffset, "2")
	c.grant(idle, 2)
	expectHeader(t, c.beyondBeats(), protocol.HeaderOffset, "3")
	expectHeader(t, c.beyondBeats(), protocol.HeaderStatus, protocol.StatusEnd)
}

func TestBatchLargerThanTheWindowIsSent(t *testing.T) {
	f := newFixture(t, nil)
	big := strings.Repeat("x", 10000)
	f.commit(lines(big), lines(big), lines("end"))
	f.fetch(fields{"offset": 0, "window_bytes": 100, "frames": true}).wants(protocol.StatusEnd, big, big, "end")
}

func TestSilentConsumerIsGivenUp(t *testing.T) {
	for name, request := range map[string]fields{
		"out of credit":            {"offset": 0, "window_bytes": 1, "follow": true},
		"at the end":               {"offset": 2, "window_bytes": 1000, "follow": true},
		"following with no window": {"offset": 2, "follow": true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(c *Config) {
				c.Heartbeat, c.CreditTimeout = 10*time.Millisecond, 60*time.Millisecond
				c.Failed = func(code protocol.Code) { t.Errorf("counted as an error of the service: %s", code.Kind().Name) }
			})
			f.commit(lines("a"), lines("b"))
			c := f.fetch(request)
			beats := 0
			for {
				m := c.next()
				switch m.Header.Get(protocol.HeaderStatus) {
				case protocol.StatusHeartbeat:
					beats++
					continue
				case "":
					continue
				}
				expectHeader(t, m, protocol.HeaderError, "CREDIT_TIMEOUT")
				break
			}
			if beats == 0 {
				t.Error("it was never asked")
			}
			if n := f.server.Stats().Abandoned; n != 1 {
				t.Errorf("%d fetches count as abandoned, want 1", n)
			}
		})
	}
}

// It may wait for credit, or for records.
func TestCancelledFetchIsNoError(t *testing.T) {
	for name, c := range map[string]struct {
		window int
		next   int64
	}{"behind a full window": {1, 1}, "at the end": {1000, 2}} {
		t.Run(name, func(t *testing.T) {
			var failed atomic.Int64
			f := newFixture(t, func(c *Config) { c.Failed = func(protocol.Code) { failed.Add(1) } })
			f.commit(lines("a"), lines("b"))
			consumer := f.fetch(fields{"offset": 0, "window_bytes": c.window, "follow": true})
			var last *nats.Msg
			for range c.next {
				last = consumer.data()
			}
			must(t, f.server.config.Conn.Publish(last.Reply, []byte(protocol.CancelFetch)))
			end := consumer.wants(protocol.StatusCancelled)
			expectOffsets(t, end, c.next, 2)
			expectHeader(t, end, protocol.HeaderError, "")
			if n := f.server.OpenFetches(); n != 0 || len(end.Data) != 0 || failed.Load() != 0 {
				t.Errorf("%d fetches are open, %d errors were counted, the body is %q", n, failed.Load(), end.Data)
			}
		})
	}
}

func TestAWordThatIsNoCreditEndsTheFetch(t *testing.T) {
	for _, word := range []string{"", "x", "-1", "99999999999999999999", "cancel!"} {
		f := newFixture(t, nil)
		f.commit(lines("a"), lines("b"))
		c := f.fetch(fields{"offset": 0, "window_bytes": 1, "follow": true})
		must(t, f.server.config.Conn.Publish(c.data().Reply, []byte(word)))
		c.fails(protocol.CodeInvalidRequest)
	}
}

// A consumer that is connecting again has no subscriber at its inbox for a while.
func TestMessagesThatReachNobodyDoNotEndTheFetch(t *testing.T) {
	f := newFixture(t, nil)
	f.commit(lines("a"))
	c := f.fetch(fields{"offset": 0, "window_bytes": 1000, "follow": true})
	c.data()
	must(t, c.sub.Unsubscribe())
	must(t, f.conn.Flush())
	f.tell(lines("b"))
	f.until(func() bool { return f.server.Stats().Messages == 2 })
	must(t, f.server.config.Conn.Flush()) // the server has reported no responders
	_, err := f.conn.ChanSubscribe(c.sub.Subject, c.messages)
	must(t, err)
	must(t, f.conn.Flush())
	f.tell(lines("c"))
	if m := c.data(); string(m.Data) != "c" {
		t.Errorf("%q came, want the fetch to continue with c", m.Data)
	}
}

func TestAnsweredHeartbeatsKeepAFetchOpen(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Heartbeat = 10 * time.Millisecond })
	c := f.fetch(fields{"offset": 0, "follow": true, "window_bytes": 10, "max_records": 1})
	for range 70 {
		c.grant(c.status(protocol.StatusHeartbeat), 0)
	}
	f.tell(lines("a"))
	c.wants(protocol.StatusEnd, "a")
}
