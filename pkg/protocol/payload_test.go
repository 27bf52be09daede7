package protocol

import (
	"errors"
	"testing"
)

func TestRecordSizeFitsMaxPayload(t *testing.T) {
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

func TestLargestRecordFitsLowestPayload(t *testing.T) {
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
