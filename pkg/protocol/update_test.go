package protocol

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUpdateDistinguishesNoSubjectsFromUnchangedOnes(t *testing.T) {
	before := TopicConfig{Name: "orders", Subjects: []string{"a"}}
	for text, c := range map[string]struct {
		update TopicUpdate
		want   []string
	}{
		`{"name":"orders"}`:                  {TopicUpdate{Name: "orders"}, []string{"a"}},
		`{"name":"orders","subjects":[]}`:    {TopicUpdate{Name: "orders", Subjects: []string{}}, []string{}},
		`{"name":"orders","subjects":["b"]}`: {TopicUpdate{Name: "orders", Subjects: []string{"b"}}, []string{"b"}},
	} {
		got, data := throughJSON(t, c.update)
		if data != text || !cmp.Equal(got, c.update) {
			t.Errorf("%s became %+v", data, got)
		}
		after, err := got.ApplyTo(before)
		if err != nil || !cmp.Equal(after.Subjects, c.want) {
			t.Errorf("%s: subjects %v, error %v", text, after.Subjects, err)
		}
	}
}

func TestUpdateChangesRetention(t *testing.T) {
	before := TopicConfig{Name: "orders", RetentionAgeMS: 5000, RetentionBytes: 6}
	after, err := TopicUpdate{RetentionAgeMS: new(int64(0))}.ApplyTo(before)
	if err != nil || after.RetentionAge() != 0 || after.RetentionBytes != 6 {
		t.Errorf("%+v, %v", after, err)
	}
	for _, wrong := range []TopicUpdate{{RetentionAgeMS: new(int64(999))}, {RetentionAgeMS: new(int64(-1))}, {RetentionBytes: new(int64(-1))}} {
		if after, err := wrong.ApplyTo(before); err == nil {
			t.Errorf("accepted %+v", after)
		}
	}
}

func TestUpdateTakesDefaultsForZeros(t *testing.T) {
	before := TopicConfig{Name: "orders", MaxRecordBytes: 5, MaxProducers: 6, ProducerExpiryMS: MaxProducerExpiry.Milliseconds(), Compression: CompressionS2}
	want, err := TopicConfig{Name: "orders"}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	zeros := TopicUpdate{MaxRecordBytes: new(0), MaxProducers: new(0), ProducerExpiryMS: new(int64(0)), Compression: new(Compression(""))}
	if got, err := zeros.ApplyTo(before); err != nil || !got.Equal(want) {
		t.Errorf("%+v, error %v", got, err)
	}
	fitting, err := zeros.FitPayload(MinMaxPayload)
	if err != nil || *fitting.MaxRecordBytes != MinMaxPayload-recordRoom || *zeros.MaxRecordBytes != 0 {
		t.Errorf("with a small max_payload the default is %d, error %v", *fitting.MaxRecordBytes, err)
	}
	tooLarge := TopicUpdate{MaxRecordBytes: new(MinMaxPayload)}
	if _, err := tooLarge.FitPayload(MinMaxPayload); AsError(err).Code != CodeMaxPayload {
		t.Errorf("error %v", err)
	}
	if same, err := (TopicUpdate{}).FitPayload(MinMaxPayload); err != nil || same.MaxRecordBytes != nil {
		t.Errorf("an update of other fields has %v, error %v", same.MaxRecordBytes, err)
	}
}
