package producers

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// truncate sends a request and decodes its answer.
func (r *rig) truncate(body any) (response protocol.TopicTruncateResponse) {
	r.t.Helper()
	data, err := json.Marshal(body)
	r.must(err)
	answer, err := r.conn.Request(protocol.TopicAPI+"truncate", data, patience)
	r.must(err)
	r.must(json.Unmarshal(answer.Data, &response))
	return response
}

func TestTruncationIsRepeatedUntilItIsAnswered(t *testing.T) {
	r := start(t)
	r.answer = func(n int, q messages.Message) messages.Message {
		m := q.(messages.Truncate)
		switch n {
		case 1:
			return nil
		case 2:
			return messages.Truncated{Partition: m.Partition, Asker: m.Asker, Request: m.Request + 1, Start: 3}
		}
		return messages.Truncated{Partition: m.Partition, Asker: m.Asker, Request: m.Request, Start: 8}
	}
	if got := r.truncate(protocol.TopicTruncateRequest{Name: "orders", Partition: 1, Before: 7}); got.Error != nil || got.StartOffset != 8 || got.Partition != 1 {
		t.Errorf("the answer is %+v", got)
	}
	q := r.questions()
	if m := q[0].(messages.Truncate); len(q) < 3 || q[1] != q[0] || m.Partition != r.topic.Partition(1) || m.Asker != 5 || m.Before != 7 {
		t.Errorf("asked %+v", q)
	}
}

func TestRefusedTruncationIsAnError(t *testing.T) {
	r := start(t)
	r.answer = func(_ int, q messages.Message) messages.Message {
		m := q.(messages.Truncate)
		return messages.Truncated{Partition: m.Partition, Asker: m.Asker, Request: m.Request, Code: protocol.CodeInvalidRequest, Detail: "why"}
	}
	for name, c := range map[string]struct {
		body any
		want protocol.Code
	}{
		"by the replicator": {protocol.TopicTruncateRequest{Name: "orders", Before: 7}, protocol.CodeInvalidRequest},
		"below zero":        {protocol.TopicTruncateRequest{Name: "orders", Before: -1}, protocol.CodeInvalidRequest},
		"unknown topic":     {protocol.TopicTruncateRequest{Name: "none"}, protocol.CodeUnknownTopic},
		"unknown partition": {protocol.TopicTruncateRequest{Name: "orders", Partition: 2}, protocol.CodeUnknownTopic},
		"unknown field":     {map[string]int{"x": 1}, protocol.CodeInvalidRequest},
	} {
		if got := r.truncate(c.body); got.Error == nil || got.Error.Code != c.want {
			t.Errorf("%s: %+v", name, got.Error)
		}
	}
	r.damage = map[protocol.Partition]messages.ReadOnly{r.topic.Partition(0): {Partition: r.topic.Partition(0), Damage: "entry 7 is lost"}}
	r.answer = func(int, messages.Message) messages.Message { return nil }
	if got := r.truncate(protocol.TopicTruncateRequest{Name: "orders", Before: 7}); got.Error == nil || got.Error.Code != protocol.CodePartitionDamaged {
		t.Errorf("of a damaged partition: %+v", got.Error)
	}
}

func TestUnansweredTruncationMayBeRepeated(t *testing.T) {
	r := start(t)
	r.answer = func(int, messages.Message) messages.Message { return nil }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.api.askTruncate(ctx, messages.Truncate{Partition: r.topic.Partition(0), Before: 7})
	known := protocol.AsError(err)
	for _, want := range []string{"the records below offset 7 are not dropped yet", "cannot be withdrawn"} {
		if known.Code != protocol.CodeUnavailable || !strings.Contains(known.Detail, want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if strings.Contains(known.Detail, "context canceled") {
		t.Errorf("%v repeats what the caller knows", err)
	}
}
