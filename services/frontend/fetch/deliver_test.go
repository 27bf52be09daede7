package fetch

import (
	"strings"
	"testing"

	"laneway.dev/pkg/protocol"
)

// Records of older versions may have headers that no NATS client sends. Such a record
// stays in the log, and must not end every fetch of single records that reaches it.
func TestUndeliverableRecordIsReportedWithNextOffset(t *testing.T) {
	for name, poison := range map[string]protocol.Header{
		"a name that NATS clients do not send": {Name: "X-Trace/Id", Value: "1"},
		"a line break":                         {Name: "Line", Value: "one\r\ntwo"},
		"blanks around a value":                {Name: "Blank", Value: " v"},
		"a header of the answer":               {Name: protocol.HeaderOffset, Value: "99"},
		"the type of a frame":                  {Name: protocol.HeaderContentType, Value: protocol.ContentTypeBatch},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.commit([]protocol.Record{
				{Value: []byte("a")}, {Headers: []protocol.Header{poison}, Value: []byte("b")}, {Value: []byte("c")},
			})
			c := f.fetch(fields{"offset": 0})
			c.data()
			m := c.fails(protocol.CodeUndeliverable)
			expectOffsets(t, m, 2, 3)
			if text := m.Header.Get(protocol.HeaderDesc); !strings.Contains(text, "offset 1") || !strings.Contains(text, poison.Name) {
				t.Errorf("the description is %q", text)
			}
			if protocol.CodeUndeliverable.Kind().Retryable {
				t.Error("a fetch that never succeeds is called retryable")
			}
			f.fetch(fields{"offset": 2}).wants(protocol.StatusEnd, "c")
			f.fetch(fields{"offset": 0, "frames": true}).wants(protocol.StatusEnd, "a", "b", "c")
			f.fetch(fields{"offset": 1, "window_bytes": 100}).fails(protocol.CodeUndeliverable)
		})
	}
}
