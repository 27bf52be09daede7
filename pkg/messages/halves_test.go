package messages

import (
	"reflect"
	"testing"
)

// TestHalvesSayTogetherWhatTheMessageSays divides the list of every message that has
// one, but for the answers to a question, which must stay whole.
func TestHalvesSayTogetherWhatTheMessageSays(t *testing.T) {
	for _, m := range []Message{
		Stage{Epoch: 1, Batches: make([]StageBatch, 3)},
		Refused{Epoch: 1, Refusals: make([]Refusal, 3)},
		Holding{Epoch: 1, Stager: "x7", Held: make([]Held, 3)},
		Staged{Epoch: 1, Batches: make([]StagedBatch, 3)},
		Advance{Epoch: 1, Lanes: make([]LaneProgress, 3)},
		Missing{Epoch: 1, Lanes: make([]LaneNumbers, 3)},
		Release{Epoch: 1, HelloTerm: 2, Batches: make([]StagedBatch, 3)},
		ReleaseAgain{Epoch: 1, Lanes: make([]LaneNumbers, 3)},
		Outcomes{Epoch: 1, Outcomes: make([]Outcome, 3)},
	} {
		a, b, divisible := Halves(m)
		if !divisible || items(a) != 1 || items(b) != 2 {
			t.Errorf("%T: divisible is %v, halves %+v and %+v", m, divisible, a, b)
			continue
		}
		if _, _, again := Halves(a); again {
			t.Errorf("%T: a single item is divided", m)
		}
		if !reflect.DeepEqual(withoutItems(a), withoutItems(m)) || !reflect.DeepEqual(withoutItems(b), withoutItems(m)) {
			t.Errorf("%T: %+v became %+v and %+v", m, m, a, b)
		}
	}
	if _, _, divisible := Halves(Hello{Term: 1}); divisible {
		t.Error("a message without a list is divided")
	}
}

// items returns the length of the only list of a message.
func items(m Message) int {
	v := reflect.ValueOf(m)
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Slice {
			return f.Len()
		}
	}
	return -1
}

// withoutItems returns the fields of a message that are no list.
func withoutItems(m Message) []any {
	var fields []any
	v := reflect.ValueOf(m)
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() != reflect.Slice {
			fields = append(fields, f.Interface())
		}
	}
	return fields
}
