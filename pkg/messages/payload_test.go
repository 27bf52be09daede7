package messages

import (
	"errors"
	"reflect"
	"testing"
)

func TestTopicPromisesNoLargerRecordsThanNATSCarries(t *testing.T) {
	const small, usual = 1 << 20, 8 << 20
	for name, c := range map[string]struct {
		asked      int
		maxPayload int64
		want       int // 0 is an error
	}{
		"default":                     {0, usual, DefaultMaxRecordBytes},
		"default with a small limit":  {0, small, small - 2*EnvelopeRoom},
		"as large as the small limit": {small - 2*EnvelopeRoom, small, small - 2*EnvelopeRoom},
		"above the small limit":       {small - 2*EnvelopeRoom + 1, small, 0},
		"the largest":                 {MaxRecordBytesLimit, usual, MaxRecordBytesLimit},
	} {
		fitted, err := TopicConfig{Name: "orders", MaxRecordBytes: c.asked}.FitPayload(c.maxPayload)
		if c.want == 0 {
			if !errors.Is(err, NewError(CodeMaxPayload, "")) {
				t.Errorf("%s: error %v, %d bytes", name, err, fitted.MaxRecordBytes)
			}
			continue
		}
		if err != nil || fitted.MaxRecordBytes != c.want {
			t.Errorf("%s: %d bytes, want %d (%v)", name, fitted.MaxRecordBytes, c.want, err)
		}
	}
}

func TestLargestRecordFitsTheLeastPayload(t *testing.T) {
	config, err := TopicConfig{Name: "orders"}.FitPayload(MinMaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	headers := make([]Header, MaxHeaders)
	for i := range headers {
		headers[i] = Header{Name: "n", Value: "v"}
	}
	r := Record{Headers: headers}
	r.Value = make([]byte, config.MaxRecordBytes-r.Size())
	if n, limit := len(EncodeRecord(r)), MinMaxPayload-EnvelopeRoom; n > limit {
		t.Errorf("its frame has %d bytes, allowed are %d", n, limit)
	}
}

// TestHalvesSayTogetherWhatTheMessageSays divides the list of every message that has
// one, but for the answers to a question, which must stay whole.
func TestHalvesSayTogetherWhatTheMessageSays(t *testing.T) {
	for _, m := range []Message{
		Stage{Epoch: 1, Batches: make([]StageBatch, 3)},
		Refused{Epoch: 1, Refusals: make([]Refusal, 3)},
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
