package protocol

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestRejectsNamesThatNATSRejects(t *testing.T) {
	for c := range 256 {
		name := "X" + string([]byte{byte(c)}) + "Y"
		m := nats.Msg{Header: nats.Header{name: {"v"}}}
		sends := m.Size() > 0 // a header that nats.go does not send has no size
		if err := CheckHeader(name, "v"); (err == nil) != sends {
			t.Errorf("name %q: nats.go sends it: %t, the rule says %v", name, sends, err)
		}
	}
}

func TestFrameAndRecordRejectSameHeaders(t *testing.T) {
	many := make([]Header, MaxHeaders+1)
	for i := range many {
		many[i] = Header{Name: "n", Value: "v"}
	}
	for name, c := range map[string]struct {
		headers []Header
		want    Code
	}{
		"no name":                      {[]Header{{"", "v"}}, CodeHeaderInvalid},
		"a colon in the name":          {[]Header{{"a:b", "v"}}, CodeHeaderInvalid},
		"a space in the name":          {[]Header{{"a b", "v"}}, CodeHeaderInvalid},
		"a slash in the name":          {[]Header{{"X-Trace/Id", "v"}}, CodeHeaderInvalid},
		"a byte above ASCII":           {[]Header{{"X\xff", "v"}}, CodeHeaderInvalid},
		"a line break in the value":    {[]Header{{"a", "v\r\nX: y"}}, CodeHeaderInvalid},
		"a carriage return":            {[]Header{{"a", "v\r"}}, CodeHeaderInvalid},
		"a blank before the value":     {[]Header{{"a", " v"}}, CodeHeaderInvalid},
		"a blank behind the value":     {[]Header{{"a", "v\t"}}, CodeHeaderInvalid},
		"the second one is wrong":      {[]Header{{"a", "v"}, {"b", " "}}, CodeHeaderInvalid},
		"an offset":                    {[]Header{{HeaderOffset, "9"}}, CodeHeaderNotSupported},
		"a bound subject":              {[]Header{{HeaderSubject, "a.b"}}, CodeHeaderNotSupported},
		"a message id":                 {[]Header{{HeaderMessageID, "7"}}, CodeHeaderNotSupported},
		"an expectation in lower case": {[]Header{{"nats-expected-stream", "S"}}, CodeHeaderNotSupported},
		"a batch's content type":       {[]Header{{HeaderContentType, ContentTypeBatch}}, CodeHeaderNotSupported},
		"the same with parameters":     {[]Header{{"content-type", strings.ToUpper(ContentTypeBatch) + " ; v=1"}}, CodeHeaderNotSupported},
		"too many":                     {many, CodeHeadersTooLarge},
		"too large together":           {[]Header{{"n", strings.Repeat("v", MaxHeaderBytes)}}, CodeHeadersTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			r := Record{Headers: c.headers}
			if err := r.CheckHeaders(); err == nil || err.Code != c.want {
				t.Errorf("a record: %v, want %s", err, c.want.Kind().Name)
			}
			_, err := CheckFrame(frameOf(Record{}, r), 1<<20)
			if !errors.Is(err, NewError(c.want, "")) || !strings.Contains(err.Error(), "record 1 of the frame") {
				t.Errorf("a frame: %v, want %s of record 1", err, c.want.Kind().Name)
			}
		})
	}
}

func TestAcceptsHeaders(t *testing.T) {
	many := make([]Header, MaxHeaders)
	for i := range many {
		many[i] = Header{Name: fmt.Sprint("n", i), Value: "v"}
	}
	for name, headers := range map[string][]Header{
		"every character of a name":  {{"azAZ09!#$%&'*+-.^_`|~", "v"}},
		"no value":                   {{"a", ""}},
		"blanks within the value":    {{"a", "v \t w"}},
		"a value in no encoding":     {{"a", "v\xff\x00w"}},
		"a name several times":       {{"a", "1"}, {"a", "2"}, {"A", "3"}},
		"what looks like a status":   {{"Status", "503"}, {"Description", "d"}},
		"where it was stored":        {{"Nats-Stream", "S"}, {"Nats-Sequence", "7"}},
		"a trace context":            {{HeaderTraceparent, "00-x"}, {HeaderTracestate, "a=b"}},
		"another content type":       {{HeaderContentType, ContentTypeBatch + "s"}, {"content-type", "text/plain"}},
		"names that begin like ours": {{"Nat", "v"}, {"Natsy-X", "v"}, {"Lanewayx", "v"}},
		"as many as are allowed":     many,
		"as large as is allowed":     {{"n", strings.Repeat("v", MaxHeaderBytes-1)}},
	} {
		t.Run(name, func(t *testing.T) {
			r := Record{Headers: headers}
			if err := r.CheckHeaders(); err != nil {
				t.Errorf("a record: %v", err)
			}
			if _, err := CheckFrame(frameOf(r), 1<<20); err != nil {
				t.Errorf("a frame: %v", err)
			}
		})
	}
}
