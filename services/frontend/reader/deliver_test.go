package reader

import (
	"strings"
	"testing"

	"laneway.dev/pkg/messages"
)

// Records of older versions may have headers that no NATS client sends. They stand
// in the log all the same, and must not end every fetch of single records there.
func TestRecordThatCannotBeSentAloneIsNamedWithTheNextOffset(t *testing.T) {
	for name, poison := range map[string]messages.Header{
		"a name that NATS clients do not send": {Name: "X-Trace/Id", Value: "1"},
		"a line break":                         {Name: "Line", Value: "one\r\ntwo"},
		"blanks around a value":                {Name: "Blank", Value: " v"},
		"a header of the answer":               {Name: messages.HeaderOffset, Value: "99"},
		"the type of a frame":                  {Name: messages.HeaderContentType, Value: messages.ContentTypeBatch},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.commit([]messages.Record{
				{Value: []byte("a")}, {Headers: []messages.Header{poison}, Value: []byte("b")}, {Value: []byte("c")},
			})
			c := f.fetch(fields{"offset": 0})
			c.data()
			m := c.fails(messages.CodeUndeliverable)
			expectOffsets(t, m, 2, 3)
			if text := m.Header.Get(messages.HeaderDesc); !strings.Contains(text, "offset 1") || !strings.Contains(text, poison.Name) {
				t.Errorf("the description is %q", text)
			}
			if messages.CodeUndeliverable.Kind().Retryable {
				t.Error("a fetch that never succeeds is called retryable")
			}
			f.fetch(fields{"offset": 2}).wants(messages.StatusEnd, "c")
			f.fetch(fields{"offset": 0, "frames": true}).wants(messages.StatusEnd, "a", "b", "c")
			f.fetch(fields{"offset": 1, "window_bytes": 100}).fails(messages.CodeUndeliverable)
		})
	}
}
