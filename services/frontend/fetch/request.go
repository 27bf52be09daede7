package fetch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"

	"laneway.dev/pkg/protocol"
)

// request is a fetch request with its defaults and caps applied.
type request struct {
	protocol.FetchRequest
	wait time.Duration // for the first record
}

// parse reads a request. A field that is not known is refused: it asks for
// something that would not be done.
func parse(data []byte) (request, *protocol.Error) {
	var r request
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&r.FetchRequest); err != nil {
		return r, protocol.Errorf(protocol.CodeInvalidRequest, "the body is not a fetch request: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return r, protocol.NewError(protocol.CodeInvalidRequest, "something follows the JSON object")
	}
	if err := r.check(); err != nil {
		return r, err
	}
	r.complete()
	return r, nil
}

func (r *request) check() *protocol.Error {
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
func (r *request) complete() {
	r.WindowBytes = min(r.WindowBytes, maxWindow)
	if r.WindowBytes == 0 {
		if r.MaxBytes == 0 {
			r.MaxBytes = defaultMaxBytes
		}
		r.MaxBytes = min(r.MaxBytes, maxMaxBytes)
	}
	r.wait = time.Duration(min(r.MaxWait, maxWait.Milliseconds())) * time.Millisecond
}

// paced says whether the consumer is asked for signs of life: it holds a fetch
// open for as long as it likes.
func (r *request) paced() bool { return r.WindowBytes > 0 || r.Follow }
