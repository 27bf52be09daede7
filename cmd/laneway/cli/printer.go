package cli

import (
	"bufio"
	"encoding/json"
	"io"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"laneway.dev/pkg/client"
)

const (
	// printBuffer is the size of one write, in bytes.
	printBuffer = 256 << 10
	// printIdle is how long a record may wait in the buffer for more records.
	printIdle = 10 * time.Millisecond
)

// RecordFormat writes a record to a buffer: PrintLine or PrintJSON.
type RecordFormat func(out *bufio.Writer, record *client.Record) error

// Printer writes records to a buffer. The buffer is flushed when it is full, which makes
// fast reading cheap, and a moment after a record was printed, so that --follow shows
// single records at once. It is safe for concurrent use.
type Printer struct {
	format RecordFormat

	mu    sync.Mutex
	out   *bufio.Writer
	idle  *time.Timer
	armed bool
	err   error // of a flush by the timer; the next call returns it
}

// NewPrinter returns a Printer. The caller MUST call Close.
func NewPrinter(w io.Writer, format RecordFormat) *Printer {
	p := &Printer{format: format, out: bufio.NewWriterSize(w, printBuffer)}
	p.idle = time.AfterFunc(time.Hour, p.flushIdle)
	p.idle.Stop()
	return p
}

// Print writes a record to the buffer.
func (p *Printer) Print(record *client.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	if !p.armed {
		p.armed = true
		p.idle.Reset(printIdle)
	}
	return p.format(p.out, record)
}

func (p *Printer) flushIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	if p.err == nil {
		p.err = p.out.Flush()
	}
}

// Close flushes the buffer.
func (p *Printer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle.Stop()
	if p.err != nil {
		return p.err
	}
	return p.out.Flush()
}

// PrintLine writes the value of a record and a line feed.
func PrintLine(out *bufio.Writer, record *client.Record) error {
	if _, err := out.Write(record.Value); err != nil {
		return err
	}
	return out.WriteByte('\n')
}

// recordJSON is a record as PrintJSON prints it. A value that is not UTF-8 is
// printed in base64. If one value of a header is not UTF-8, headers_base64 has all values
// of that header, so that their order is kept.
type recordJSON struct {
	Topic       string              `json:"topic"`
	Partition   int32               `json:"partition"`
	Offset      int64               `json:"offset"`
	Time        time.Time           `json:"time"`
	Headers     map[string][]string `json:"headers"`
	HeadersB64  map[string][][]byte `json:"headers_base64,omitempty"`
	Value       *string             `json:"value,omitempty"`
	ValueBase64 []byte              `json:"value_base64,omitempty"`
}

// PrintJSON writes a record as a JSON object and a line feed.
func PrintJSON(out *bufio.Writer, record *client.Record) error {
	object := recordJSON{
		Topic: record.Topic, Partition: record.Partition, Offset: record.Offset, Time: record.Time.UTC(),
		Headers: make(map[string][]string, len(record.Headers)),
	}
	for _, h := range record.Headers {
		object.Headers[h.Name] = append(object.Headers[h.Name], h.Value)
	}
	for name, values := range object.Headers {
		if slices.ContainsFunc(values, invalidUTF8) {
			object.encode(name, values)
		}
	}
	if utf8.Valid(record.Value) {
		value := string(record.Value)
		object.Value = &value
	} else {
		object.ValueBase64 = record.Value
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(&object)
}

func invalidUTF8(s string) bool { return !utf8.ValidString(s) }

// encode moves the values of a header to headers_base64.
func (r *recordJSON) encode(name string, values []string) {
	if r.HeadersB64 == nil {
		r.HeadersB64 = make(map[string][][]byte)
	}
	for _, v := range values {
		r.HeadersB64[name] = append(r.HeadersB64[name], []byte(v))
	}
	delete(r.Headers, name)
}
