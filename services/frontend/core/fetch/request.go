package fetch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"

	"laneway.dev/pkg/protocol"
)

// Limits of a fetch. A window is bounded as max_bytes is.
const (
	DefaultMaxBytes = 1 << 20
	MaxMaxBytes     = 64 << 20
	MaxWindow       = 64 << 20
	MaxWait         = 60 * time.Second
	// MaxMessages bounds the messages of a fetch without a window. Bytes do not bound them,
	// because records may be empty, and a NATS client drops messages beyond its buffer.
	MaxMessages = 65536
	// MaxUnanswered is how many messages a consumer with a window gets before it must answer.
	// Credit does not bound the number of empty records.
	MaxUnanswered = 16384
)

// Request is a fetch request with its defaults and caps applied.
type Request struct {
	protocol.FetchRequest
	wait time.Duration // for the first record
}

// Parse decodes the body of a request. An unknown field is rejected: the client expects an
// effect that this version does not have. The error has the code INVALID_REQUEST.
func Parse(body []byte) (Request, *protocol.Error) {
	var r Request
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&r.FetchRequest); err != nil {
		return r, protocol.Errorf(protocol.CodeInvalidRequest, "the body is not a fetch request: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return r, protocol.NewError(protocol.CodeInvalidRequest, "the body has data after the JSON object")
	}
	if err := r.check(); err != nil {
		return r, err
	}
	r.complete()
	return r, nil
}

func (r *Request) check() *protocol.Error {
	starts := 0
	for _, given := range []bool{r.Offset != nil, r.From != "", r.Time != nil} {
		if given {
			starts++
		}
	}
	switch {
	case starts != 1:
		return protocol.Errorf(protocol.CodeInvalidRequest, "exactly one of offset, from and time is needed, %d are given", starts)
	case r.From != "" && r.From != protocol.FromEarliest && r.From != protocol.FromLatest:
		return protocol.Errorf(protocol.CodeInvalidRequest, "from is %.80q, allowed are earliest and latest", r.From)
	}
	for _, limit := range []struct {
		name  string
		value int64
	}{
		{"max_bytes", r.MaxBytes}, {"max_records", r.MaxRecords}, {"max_wait_ms", r.MaxWait}, {"window_bytes", r.WindowBytes},
	} {
		if limit.value < 0 {
			return protocol.Errorf(protocol.CodeInvalidRequest, "%s is %d", limit.name, limit.value)
		}
	}
	return nil
}

// complete applies defaults and caps.
func (r *Request) complete() {
	r.WindowBytes = min(r.WindowBytes, MaxWindow)
	if r.WindowBytes == 0 {
		if r.MaxBytes == 0 {
			r.MaxBytes = DefaultMaxBytes
		}
		r.MaxBytes = min(r.MaxBytes, MaxMaxBytes)
	}
	r.wait = time.Duration(min(r.MaxWait, MaxWait.Milliseconds())) * time.Millisecond
}

// Paced reports whether the fetch has flow control and heartbeats, because its consumer may
// keep it open without limit. The messages of a paced fetch have a reply subject; what the
// consumer publishes there is a [Control].
func (r *Request) Paced() bool { return r.WindowBytes > 0 || r.Follow }
