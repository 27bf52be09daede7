package pipeline

import (
	"fmt"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
)

// TestProducerRecoversFromLongOutage: nothing is staged for
// so long that the replicator forgets every lane, and another lane's numbers
// were far higher. The producer always has a batch in flight, so its lane never
// ends and its numbers continue where they were.
func TestProducerRecoversFromLongOutage(t *testing.T) {
	p := New()
	next := 0
	send := func() string {
		value := fmt.Sprint("steady ", next)
		next++
		p.Produce("steady", value)
		return value
	}
	first, open := send(), send()
	p.Upload(first)
	for n := range 2000 {
		value := fmt.Sprint("other ", n)
		p.Produce("other", value)
		p.Upload(value)
	}

	for started := p.now; p.now.Sub(started) < messages.MaxDeadline+30*time.Second; {
		following := send()
		p.Fail(open)
		open = following
		p.Tick(heartbeat)
	}

	refused := len(p.Answers)
	for range 5 {
		following := send()
		p.Upload(open)
		open = following
		p.Tick(heartbeat)
	}
	p.Upload(open)
	p.Tick(heartbeat)
	acked := 0
	for _, a := range p.Answers[refused:] {
		if a.Error == nil {
			acked++
		}
	}
	if acked < 3 || p.Answers[len(p.Answers)-1].Error != nil {
		t.Errorf("%d of 6 batches were committed after the outage; the last answer is %v", acked, outcome(p.Answers[len(p.Answers)-1]))
	}
	if err := p.Faults(); len(err) > 0 {
		t.Error(err)
	}
}
