package pipeline

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
	frontend "laneway.dev/services/frontend/core"
	"laneway.dev/test/load"
)

func (p *Pipeline) expect(t *testing.T, committed ...string) {
	t.Helper()
	if got := p.Committed(); !slices.Equal(got, committed) {
		t.Errorf("the log has %q, want %q", got, committed)
	}
	for _, fault := range p.Faults() {
		t.Error(fault)
	}
}

// outcome says how a request was answered, such as "B1 at 0" or "B1: FAILED".
func outcome(a frontend.Answer) string {
	if a.Error != nil {
		return fmt.Sprintf("%s: %s", a.Request, a.Error.Code.Kind().Name)
	}
	return fmt.Sprintf("%s at %d", a.Request, a.Offset)
}

func (p *Pipeline) expectAnswers(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, a := range p.Answers {
		got = append(got, outcome(a))
	}
	if !slices.Equal(got, want) {
		t.Errorf("answers %q, want %q", got, want)
	}
}

// This is the regression that Laneway exists for. TestOrderIsLostIfTheTicketIsTakenAfterStaging
// runs it against the wrong code.
func TestNewProducerKeepsOrderWhenSecondIsStagedFirst(t *testing.T) {
	p := New()
	p.Produce("new", "B1")
	p.Produce("new", "B2")
	if got := p.Uploading(); !slices.Equal(got, []string{"B1", "B2"}) {
		t.Fatalf("uploads of %q are under way, want those of both batches", got)
	}
	p.Upload("B2")
	p.Upload("B1")
	p.expectAnswers(t, "B1 at 0", "B2 at 1")
	p.expect(t, "B1", "B2")
}

func TestSecondBatchContinuesAfterFirstFails(t *testing.T) {
	p := New()
	p.Produce("new", "B1")
	p.Produce("new", "B2")
	p.Upload("B2")
	p.expect(t)
	p.Fail("B1")
	p.Tick(heartbeat)
	p.expectAnswers(t, "B1: FAILED", "B2 at 0")
	p.expect(t, "B2")
}

func TestASlowBatchDelaysNoOtherProducer(t *testing.T) {
	p := New()
	p.Produce("slow", "S1")
	p.Produce("quick", "Q1")
	p.Upload("Q1")
	p.expectAnswers(t, "Q1 at 0")
	p.Upload("S1")
	p.expectAnswers(t, "Q1 at 0", "S1 at 1")
	p.expect(t, "Q1", "S1")
}

func TestLostStagingIsRepeated(t *testing.T) {
	p := New()
	p.Produce("new", "B1")
	p.Produce("new", "B2")
	p.Upload("B2")
	p.Tick(stageTimeout)
	p.Tick(heartbeat)
	if got := p.Uploading(); !slices.Equal(got, []string{"B1", "B1"}) {
		t.Fatalf("uploads of %q are under way, want B1 twice", got)
	}
	p.Upload("B1")
	p.Upload("B1")
	p.expectAnswers(t, "B1 at 0", "B2 at 1")
	p.expect(t, "B1", "B2")
}

func TestAbandonedBatchMayBeCommittedOnce(t *testing.T) {
	p := New()
	p.Produce("new", "B1")
	p.Tick(deadline)
	p.Tick(heartbeat)
	p.expectAnswers(t, "B1: OUTCOME_UNKNOWN")
	p.expect(t)
	for range p.Uploading() {
		p.Upload("B1")
		p.Tick(heartbeat)
	}
	if got := p.Committed(); len(got) > 1 {
		t.Errorf("the log has %q", got)
	}
	p.expectAnswers(t, "B1: OUTCOME_UNKNOWN")
}

// TestManyProducersKeepTheirOrder draws the order in which
// uploads end, and failures, from a seed.
func TestManyProducersKeepTheirOrder(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { manyProducers(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func manyProducers(t *testing.T, random *rand.Rand) {
	const producers, batches, inFlight = 3, 500, 60
	p := New()
	sent := make([]int, producers)
	for sum(sent) < producers*batches || len(p.Uploading()) > 0 {
		who := random.IntN(producers)
		uploading := p.Uploading()
		if sent[who] < batches && len(uploading) < inFlight && random.IntN(2) == 0 {
			name := fmt.Sprint("producer", who)
			p.Produce(name, load.Value(name, sent[who]))
			sent[who]++
			continue
		}
		if len(uploading) == 0 {
			continue
		}
		which := uploading[random.IntN(len(uploading))]
		if random.IntN(50) == 0 {
			p.Fail(which)
		} else {
			p.Upload(which)
		}
		p.Tick(time.Duration(random.IntN(10)) * time.Millisecond)
	}
	for range 3 { // the frontend says that the lanes are empty, the sequencer forgets them
		p.Tick(heartbeat)
	}
	p.checkMany(t, producers*batches)
}

func sum(numbers []int) int {
	total := 0
	for _, n := range numbers {
		total += n
	}
	return total
}

func (p *Pipeline) checkMany(t *testing.T, requests int) {
	committed := p.Committed()
	p.expect(t, committed...)
	if len(p.Answers) != requests {
		t.Errorf("%d of %d requests are answered", len(p.Answers), requests)
	}
	inTurn := make(map[string]int)
	acked := 0
	for _, a := range p.Answers {
		name, n, _ := load.ParseValue(a.Request.(string))
		if n != inTurn[name] {
			t.Fatalf("%q is answered when it is the turn of batch %d", a.Request, inTurn[name])
		}
		inTurn[name]++
		if a.Error == nil {
			acked++
			if committed[a.Offset] != a.Request {
				t.Errorf("%q is acknowledged at offset %d, where %q is", a.Request, a.Offset, committed[a.Offset])
			}
		} else if a.Error.Code != protocol.CodeFailed {
			t.Errorf("%q: %v", a.Request, a.Error)
		}
	}
	if acked != len(committed) {
		t.Errorf("%d batches are acknowledged, %d are in the log", acked, len(committed))
	}
	if p.Lanes() != 0 || p.Outstanding() != 0 {
		t.Errorf("%d lanes and %d tickets are left", p.Lanes(), p.Outstanding())
	}
	if p.Early() < uint64(requests/5) {
		t.Errorf("only %d of %d uploads ended out of order", p.Early(), requests)
	}
	if twice := repeated(committed); len(twice) > 0 {
		t.Errorf("twice in the log: %s", strings.Join(twice, ", "))
	}
}

func repeated(values []string) []string {
	sorted := slices.Sorted(slices.Values(values))
	var twice []string
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			twice = append(twice, sorted[i])
		}
	}
	return twice
}
