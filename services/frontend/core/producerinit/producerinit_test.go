package producerinit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const heartbeat = 200 * time.Millisecond

func topic(name string, id uint64, partitions int) protocol.Topic {
	return protocol.Topic{TopicConfig: protocol.TopicConfig{Name: name, Partitions: partitions}, ID: id}
}

// world drives a core with synthetic time.
type world struct {
	t    *testing.T
	core *Core
	now  time.Time
	fx   Effects
	sent []messages.FenceProducer
}

func newWorld(t *testing.T, topics ...protocol.Topic) *world {
	t.Helper()
	w := &world{t: t, now: time.Unix(1_000_000, 0), core: New(Request{
		Name: "feed", Instance: "me", Topics: topics, Asker: 5, Heartbeat: heartbeat,
	})}
	w.step()
	w.wantRegistry(Next{"feed", "me"})
	return w
}

func (w *world) step(events ...Event) {
	w.fx = w.core.Step(w.now, events)
	for _, e := range w.fx.Send {
		w.sent = append(w.sent, e.Message.(messages.FenceProducer))
	}
}

// fence returns the messages of the last step.
func (w *world) take() []messages.FenceProducer {
	sent := w.sent
	w.sent = nil
	return sent
}

func (w *world) wantRegistry(want any) {
	w.t.Helper()
	if got := fmt.Sprintf("%T%+v", w.fx.Registry, w.fx.Registry); got != fmt.Sprintf("%T%+v", want, want) || w.fx.Done != nil {
		w.t.Fatalf("asks the registry for %s, want %T%+v; done %v", got, want, want, w.fx.Done)
	}
}

func (w *world) wantError(code protocol.Code, text string) {
	w.t.Helper()
	if w.fx.Done == nil || protocol.AsError(w.fx.Done.Err).Code != code || !strings.Contains(w.fx.Done.Err.Error(), text) {
		w.t.Fatalf("done %+v, want %s with %q", w.fx.Done, code.Kind().Name, text)
	}
	if len(w.fx.Send) != 0 || w.fx.Registry != nil {
		w.t.Errorf("effects %+v beside the error", w.fx)
	}
}

func identified(id int64, epoch int16, seen ...uint64) Identified {
	return Identified{messages.ProducerFence{ProducerID: id, ProducerEpoch: epoch, Name: "feed"}, seen}
}

// answer answers a question of the core.
func answer(q messages.FenceProducer, code protocol.Code, last ...int32) messages.ProducerFenced {
	m := messages.ProducerFenced{Partition: q.Partition, Asker: q.Asker, Fence: q.Fence.ProducerEpoch, Code: code}
	m.Producer.ProducerFence = q.Fence
	if len(last) > 0 {
		m.Producer.HasLast, m.Producer.Last = true, last[0]
	}
	return m
}

func TestEveryPartitionIsFencedBeforeTheAnswer(t *testing.T) {
	w := newWorld(t, topic("a", 1, 2), topic("b", 2, 1))
	w.step(identified(9, 3, 2))
	asked := w.take()
	if len(asked) != 3 {
		t.Fatalf("asked %+v", asked)
	}
	for i, q := range asked {
		if q.Fence != identified(9, 3).Fence || q.Asker != 5 || q.IfKnown != (i == 2) {
			t.Errorf("question %d is %+v", i, q)
		}
	}
	w.step(answer(asked[2], protocol.CodePositionExpired))
	w.step(answer(asked[1], protocol.CodeOK))
	if w.fx.Registry != nil || w.fx.Done != nil {
		t.Fatalf("effects %+v with a partition that is not fenced", w.fx)
	}
	w.step(answer(asked[0], protocol.CodeOK, 41))
	w.wantRegistry(Remember{"feed", []uint64{1, 2}})
	w.step(Remembered{})
	if w.fx.Done == nil || w.fx.Done.Err != nil {
		t.Fatalf("effects %+v", w.fx)
	}
	r := w.fx.Done.Response
	got := fmt.Sprint(r.ProducerID, r.ProducerEpoch)
	for _, p := range r.Positions {
		last := "nothing"
		if p.LastSequence != nil {
			last = fmt.Sprint(*p.LastSequence)
		}
		got += fmt.Sprintf(" %s/%d=%s,%t", p.Topic, p.Partition, last, p.Expired)
	}
	if want := "9 3 a/0=41,false a/1=nothing,false b/0=nothing,true"; got != want {
		t.Errorf("answer %s, want %s", got, want)
	}
}

func TestQuestionsAreRepeatedUntilTheyAreAnswered(t *testing.T) {
	w := newWorld(t, topic("a", 1, 2))
	w.step(identified(9, 0))
	asked := w.take()
	w.step(answer(asked[0], protocol.CodeOK))
	w.now = w.now.Add(heartbeat)
	w.step()
	if again := w.take(); len(again) != 1 || again[0] != asked[1] {
		t.Fatalf("asked again: %+v", again)
	}
	w.step(answer(asked[1], protocol.CodeOK))
	w.wantRegistry(Remember{"feed", []uint64{1}})
	w.step(answer(asked[1], protocol.CodeOK))
	if w.fx.Registry != nil {
		t.Error("a repeated answer has an effect")
	}
}

func TestEpochThatAPartitionKnowsIsSurpassed(t *testing.T) {
	w := newWorld(t, topic("a", 1, 2))
	w.step(identified(9, 3))
	asked := w.take()
	refused := answer(asked[1], protocol.CodeInvalidEpoch)
	refused.Producer.ProducerEpoch = 7
	w.step(answer(asked[0], protocol.CodeOK, 1), refused)
	w.wantRegistry(Surpass{identified(9, 3).Fence, 7})
	w.step(identified(9, 8))
	again := w.take()
	if len(again) != 2 || again[0].Fence.ProducerEpoch != 8 {
		t.Fatalf("asked %+v, want every partition to be fenced again", again)
	}
	w.step(answer(asked[0], protocol.CodeOK, 1), answer(asked[1], protocol.CodeOK, 1)) // late, of the epoch before
	if w.fx.Registry != nil {
		t.Fatal("an answer to the epoch before counts")
	}
	w.step(answer(again[0], protocol.CodeOK, 2), answer(again[1], protocol.CodeOK, 2))
	w.wantRegistry(Remember{"feed", []uint64{1}})
}

func TestAnswersToOtherRequestsAreIgnored(t *testing.T) {
	w := newWorld(t, topic("a", 1, 1))
	w.step(identified(9, 3))
	q := w.take()[0]
	for _, change := range []func(*messages.ProducerFenced){
		func(m *messages.ProducerFenced) { m.Producer.ProducerID = 8 },
		func(m *messages.ProducerFenced) { m.Fence = 2 },
		func(m *messages.ProducerFenced) { m.Partition.TopicID = 2 },
	} {
		other := answer(q, protocol.CodeOK)
		change(&other)
		w.step(other)
		if w.fx.Registry != nil || w.fx.Done != nil {
			t.Errorf("effects %+v of %+v", w.fx, other)
		}
	}
}

func TestFailuresEndTheRequest(t *testing.T) {
	fenced := func(t *testing.T) *world {
		w := newWorld(t, topic("a", 1, 1))
		w.step(identified(9, 3))
		return w
	}
	t.Run("of the registry", func(t *testing.T) {
		w := newWorld(t, topic("a", 1, 1))
		w.step(Failed{protocol.NewError(protocol.CodeInvalidEpoch, "a younger instance")})
		w.wantError(protocol.CodeInvalidEpoch, "a younger instance")
	})
	t.Run("of a partition", func(t *testing.T) {
		w := fenced(t)
		w.step(answer(w.take()[0], protocol.CodeTooManyProducers))
		w.wantError(protocol.CodeTooManyProducers, `producer "feed"`)
	})
	t.Run("damage", func(t *testing.T) {
		w := fenced(t)
		w.step(messages.ReadOnly{Partition: topic("a", 1, 1).Partition(0), Damage: "entry 7 is lost"})
		w.wantError(protocol.CodePartitionDamaged, "entry 7 is lost")
	})
	t.Run("timeout", func(t *testing.T) {
		w := fenced(t)
		w.step(Canceled{context.DeadlineExceeded})
		w.wantError(protocol.CodeUnavailable, "does not answer")
	})
	t.Run("to remember", func(t *testing.T) {
		w := fenced(t)
		w.step(answer(w.take()[0], protocol.CodeOK))
		w.step(Failed{errors.New("no leader")})
		w.wantError(protocol.CodeInternal, "no leader")
	})
}

func TestCheckRefusesWhatCannotBeFenced(t *testing.T) {
	for name, c := range map[string]struct {
		request protocol.ProducerInitRequest
		want    protocol.Code
	}{
		"new id":              {protocol.ProducerInitRequest{}, protocol.CodeOK},
		"new id with topics":  {protocol.ProducerInitRequest{Topics: []string{"a"}}, protocol.CodeInvalidRequest},
		"name":                {protocol.ProducerInitRequest{Name: "feed", Topics: []string{"a"}}, protocol.CodeOK},
		"name without topics": {protocol.ProducerInitRequest{Name: "feed"}, protocol.CodeInvalidRequest},
		"too many topics":     {protocol.ProducerInitRequest{Name: "feed", Topics: make([]string, protocol.MaxInitTopics+1)}, protocol.CodeInvalidRequest},
		"long instance":       {protocol.ProducerInitRequest{Name: "feed", Topics: []string{"a"}, Instance: strings.Repeat("x", protocol.MaxInstance+1)}, protocol.CodeInvalidRequest},
	} {
		code := protocol.CodeOK
		if err := Check(&c.request); err != nil {
			code = protocol.AsError(err).Code
		}
		if code != c.want {
			t.Errorf("%s: %s, want %s", name, code.Kind().Name, c.want.Kind().Name)
		}
	}
}
