package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

func printed(t *testing.T, format RecordFormat, records ...client.Record) string {
	t.Helper()
	var out strings.Builder
	p := NewPrinter(&out, format)
	for i := range records {
		if err := p.Print(&records[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPrintsLinesUnchanged(t *testing.T) {
	got := printed(t, PrintLine, client.Record{Value: []byte("a\r")}, client.Record{}, client.Record{Value: []byte("\xff")})
	if got != "a\r\n\n\xff\n" {
		t.Errorf("%q", got)
	}
}

func TestPrintsJSON(t *testing.T) {
	moment := time.Date(2026, 11, 23, 11, 0, 0, 120, time.FixedZone("", 3600))
	got := printed(t, PrintJSON,
		client.Record{
			Topic: "orders", Partition: 3, Offset: 1 << 60, Time: moment, Value: []byte(`<a href="x">` + "\n"),
			Headers: []protocol.Header{{Name: "a", Value: "1"}, {Name: "B", Value: ""}, {Name: "a", Value: "2"}},
		},
		client.Record{Topic: "orders", Time: moment},
		client.Record{Topic: "orders", Offset: 1, Time: moment, Value: []byte("\xff\x00")},
		client.Record{
			Topic: "orders", Offset: 2, Time: moment,
			Headers: []protocol.Header{{Name: "a", Value: "1"}, {Name: "b", Value: "x"}, {Name: "a", Value: "2\xff"}},
		},
	)
	want := `{"topic":"orders","partition":3,"offset":1152921504606846976,"time":"2026-11-23T10:00:00.00000012Z","headers":{"B":[""],"a":["1","2"]},"value":"<a href=\"x\">\n"}
{"topic":"orders","partition":0,"offset":0,"time":"2026-11-23T10:00:00.00000012Z","headers":{},"value":""}
{"topic":"orders","partition":0,"offset":1,"time":"2026-11-23T10:00:00.00000012Z","headers":{},"value_base64":"/wA="}
{"topic":"orders","partition":0,"offset":2,"time":"2026-11-23T10:00:00.00000012Z","headers":{"b":["x"]},"headers_base64":{"a":["MQ==","Mv8="]},"value":""}
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for _, line := range strings.Split(strings.TrimSpace(got), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestFlushesWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := NewPrinter(&out, PrintLine)
		for _, value := range []string{"first", "second"} {
			if err := p.Print(&client.Record{Value: []byte(value)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(printIdle) //nolint:forbidigo // virtual time
			synctest.Wait()
			if got := out.String(); got != value+"\n" {
				t.Errorf("after %v: %q", printIdle, got)
			}
			out.Reset()
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReportsErrorOfIdleFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		gone := errors.New("reader went away")
		_ = reader.CloseWithError(gone)
		p := NewPrinter(writer, PrintLine)
		if err := p.Print(&client.Record{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(printIdle) //nolint:forbidigo // virtual time
		synctest.Wait()
		if err := p.Print(&client.Record{}); !errors.Is(err, gone) {
			t.Errorf("error %v", err)
		}
		if err := p.Close(); !errors.Is(err, gone) {
			t.Errorf("close: error %v", err)
		}
	})
}
