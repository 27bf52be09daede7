package protocol

import (
	"fmt"
	"strings"
)

// One rule decides which headers a record may have. It allows only what every way of
// reading a record returns unchanged: NATS clients refuse to send other names, cut a
// value at a line break, and trim blanks around it.

// text is a header name or value, as a string or as the bytes of a frame.
type text interface{ ~string | ~[]byte }

// tokenByte reports for each byte whether a header name may have it: RFC 9110
// calls such a name a token. nats.go and nats.js send no other.
var tokenByte = func() (allowed [256]bool) {
	for c := byte('!'); c <= '~'; c++ {
		allowed[c] = !strings.ContainsRune("\"(),/:;<=>?@[\\]{}", rune(c))
	}
	return allowed
}()

// originHeaders are the headers that JetStream adds to messages that it republishes. They
// describe the origin and request nothing, so they are stored with the record.
var originHeaders = map[string]bool{
	"Nats-Stream":        true,
	"Nats-Subject":       true,
	"Nats-Sequence":      true,
	"Nats-Time-Stamp":    true,
	"Nats-Last-Sequence": true,
	"Nats-Msg-Size":      true,
}

// IsOriginHeader reports whether a JetStream stream puts the header on a message
// that it republishes.
func IsOriginHeader(name string) bool { return originHeaders[name] }

// IsReservedHeader reports whether a name belongs to NATS or Laneway. Case is ignored.
func IsReservedHeader(name string) bool { return reserved(name) }

func reserved[T text](name T) bool {
	return hasPrefixFold(name, "nats-") || hasPrefixFold(name, "laneway-")
}

// NamesBatch reports whether a content type is that of a batch frame. Case and parameters
// are ignored.
func NamesBatch(contentType string) bool { return namesBatch(contentType) }

func namesBatch[T text](contentType T) bool {
	if !hasPrefixFold(contentType, ContentTypeBatch) {
		return false
	}
	for i := len(ContentTypeBatch); i < len(contentType); i++ {
		switch contentType[i] {
		case ' ', '\t':
		case ';':
			return true
		default:
			return false
		}
	}
	return true
}

// hasPrefixFold reports whether s begins with a prefix, which is in lower case.
func hasPrefixFold[T text](s T, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

// CheckHeader returns an error with CodeHeaderInvalid if a message cannot carry the header
// unchanged, or nil.
func CheckHeader(name, value string) *Error {
	if code, why := carried(name, value); code != CodeOK {
		return headerError(code, name, value, why)
	}
	return nil
}

// Check returns an error if a record cannot have the header, or nil. The code is
// CodeHeaderInvalid for a header that a message cannot carry unchanged, and
// CodeHeaderNotSupported for one that belongs to NATS or Laneway.
func (h Header) Check() *Error {
	if code, why := kept(h.Name, h.Value); code != CodeOK {
		return headerError(code, h.Name, h.Value, why)
	}
	return nil
}

// carried is the rule of CheckHeader, without allocations.
func carried[T text](name, value T) (Code, string) {
	if len(name) == 0 {
		return CodeHeaderInvalid, "it has no name"
	}
	for i := range len(name) {
		if !tokenByte[name[i]] {
			return CodeHeaderInvalid, "a name has letters, digits and !#$%&'*+-.^_`|~ only"
		}
	}
	for i := range len(value) {
		if c := value[i]; c == '\r' || c == '\n' {
			return CodeHeaderInvalid, "a value has no line breaks"
		}
	}
	if n := len(value); n > 0 && (blank(value[0]) || blank(value[n-1])) {
		return CodeHeaderInvalid, "a value has no blanks around it"
	}
	return CodeOK, ""
}

// kept is the rule of Header.Check, without allocations.
func kept[T text](name, value T) (Code, string) {
	if code, why := carried(name, value); code != CodeOK {
		return code, why
	}
	switch {
	case reserved(name) && !originHeaders[string(name)]:
		return CodeHeaderNotSupported, "the name belongs to NATS or Laneway, and a record cannot have it"
	case len(name) == len(HeaderContentType) && hasPrefixFold(name, "content-type") && namesBatch(value):
		return CodeHeaderNotSupported, "a record is not a batch frame"
	}
	return CodeOK, ""
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

func headerError[T text](code Code, name, value T, why string) *Error {
	return NewError(code, fmt.Sprintf("%.80q with the value %.40q: %s", name, value, why))
}

// CheckHeaders returns an error if a record cannot have its headers, or nil. The codes are
// those of Header.Check and CodeHeadersTooLarge.
func (r Record) CheckHeaders() *Error {
	if err := headersFit(len(r.Headers), r.HeaderBytes()); err != nil {
		return err
	}
	for _, h := range r.Headers {
		if err := h.Check(); err != nil {
			return err
		}
	}
	return nil
}

// headersFit checks the limits on the number and the total size of headers.
func headersFit(headers, bytes int) *Error {
	switch {
	case headers > MaxHeaders:
		return Errorf(CodeHeadersTooLarge, "%d headers, allowed are %d", headers, MaxHeaders)
	case bytes > MaxHeaderBytes:
		return Errorf(CodeHeadersTooLarge, "%d bytes of headers, allowed are %d", bytes, MaxHeaderBytes)
	}
	return nil
}
