package transport

import (
	"strings"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

// stamped reports whether NATS servers add a header of this name to messages of clients.
// They always write a blank after the colon.
func stamped(name string) bool {
	return name == protocol.HeaderRequestInfo || strings.HasPrefix(name, "Nats-Trace-") || protocol.IsOriginHeader(name)
}

// ReadHeader checks the header block of a message that a client has sent, before
// anything else looks at it, and removes the blanks behind values. The error is
// HEADER_INVALID. It must be called before the reply subject of m is changed,
// because that counts in the size of m.
//
// The NATS client delivers a message without headers if it cannot decode the block, and
// skips parts that it does not expect, such as bytes after the blank line or a line without
// a name. A skipped part could be a Nats-Msg-Id or an expectation that the producer relies
// on. The client does not return the bytes of the block, but it returns their number. So the
// check compares lengths: the block must be exactly as long as the decoded headers are when
// they are encoded again. Some clients write a blank after each colon, others do not; both
// are accepted.
//
// A hidden part can pass only if as many other bytes are missing: blanks after colons,
// carriage returns, or the name of an inlined status. No client library sends such a block.
func ReadHeader(m *nats.Msg) *protocol.Error {
	length := m.Size() - len(m.Subject) - len(m.Reply) - len(m.Data)
	switch {
	case length == 0 && len(m.Header) == 0:
		return nil
	case m.Header == nil:
		return protocol.Errorf(protocol.CodeHeaderInvalid, "the block of %d bytes cannot be decoded: it has the line NATS/1.0, "+
			"lines of a name, a colon and a value, and an empty line, and each ends with CR LF", length)
	}
	bare := len("NATS/1.0\r\n\r\n") // without blanks
	values, empty, byServer := 0, 0, 0
	for name, all := range m.Header {
		for i, value := range all {
			bare += len(name) + len(":\r\n") + len(value)
			values++
			if value == "" {
				empty++
			}
			if stamped(name) {
				byServer++
			}
			all[i] = strings.TrimRight(value, " \t")
			if err := protocol.CheckHeader(name, all[i]); err != nil {
				return err
			}
		}
	}
	blanks := length - bare
	switch {
	case values-empty <= blanks && blanks <= values:
		return nil
	case 0 <= blanks && blanks <= byServer:
		return nil
	}
	return protocol.Errorf(protocol.CodeHeaderInvalid, "the block has %d bytes, the %d headers in it take %d: "+
		"something in it is no header, or more than one blank follows a colon", length, values, bare+values)
}
