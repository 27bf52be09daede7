package clients

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"laneway.dev/pkg/protocol"
)

// understood is what a client library makes of the answer to a publish.
type understood struct {
	stream    string
	sequence  uint64
	duplicate bool

	code, errCode uint64
	description   string
}

// rules are how a client library reads the answer to a publish: which keys it takes,
// of which types, and what must be there. They were looked up in the sources of the
// libraries in 2026. Where a library would go on with something other than the server
// meant (a number that it rounds or cuts off, say), the rule is that this is an error.
type rules struct {
	client string

	errorKeys  []string // all that the error object may have; nil is anything
	errorNeeds []string // what it must have
	maxCode    uint64   // of the error's code
	maxErrCode uint64

	ackNeeds []string
	maxSeq   uint64
}

var (
	threeKeys = []string{"code", "err_code", "description"}
	bothKeys  = []string{"stream", "seq"}
)

// readers are the client libraries.
var readers = []rules{
	// The error object becomes the keyword arguments of a constructor, which takes two
	// more than JetStream has: one key too many is a TypeError. So is an ack that lacks one.
	{
		client: "nats.py", errorKeys: append([]string{"stream", "seq"}, threeKeys...), errorNeeds: []string{"code"},
		maxCode: math.MaxUint64, maxErrCode: math.MaxUint64, ackNeeds: bothKeys, maxSeq: math.MaxUint64,
	},
	// Its successor takes the keys that it knows; its strict mode refuses any other.
	{
		client: "nats.py, package nats-jetstream", errorKeys: threeKeys,
		maxCode: math.MaxUint64, maxErrCode: math.MaxUint64, ackNeeds: []string{"stream"}, maxSeq: math.MaxUint64,
	},
	// Numbers are doubles.
	{
		client: "nats.js", errorNeeds: threeKeys,
		maxCode: 1<<53 - 1, maxErrCode: 1<<53 - 1, ackNeeds: bothKeys, maxSeq: 1<<53 - 1,
	},
	// A number of another size is taken for one that is missing.
	{
		client: "nats.java", errorNeeds: threeKeys,
		maxCode: math.MaxInt32, maxErrCode: math.MaxInt32, ackNeeds: bothKeys, maxSeq: math.MaxInt64,
	},
	// An answer is an error if its error object can be read, else an ack.
	{
		client: "async-nats", errorNeeds: []string{"code"},
		maxCode: math.MaxUint64, maxErrCode: math.MaxUint64, ackNeeds: bothKeys, maxSeq: math.MaxUint64,
	},
	{
		client: "nats.net", errorNeeds: []string{"code"},
		maxCode: math.MaxInt32, maxErrCode: math.MaxInt32, ackNeeds: []string{"stream"}, maxSeq: math.MaxUint64,
	},
	// It says that an answer is an error by either of the numbers.
	{
		client: "nats.c", errorNeeds: []string{"code", "err_code"},
		maxCode: math.MaxInt32, maxErrCode: math.MaxUint16, maxSeq: math.MaxUint64,
	},
	{
		client: "nats.go", errorNeeds: []string{"code"},
		maxCode: math.MaxInt64, maxErrCode: math.MaxUint16, ackNeeds: []string{"stream"}, maxSeq: math.MaxUint64,
	},
}

// read reads an answer by the rules.
func (r *rules) read(data []byte) (understood, error) {
	answer, err := object(data)
	if err != nil {
		return understood{}, err
	}
	if inner, failed := answer["error"]; failed {
		return r.readError(inner)
	}
	for _, key := range r.ackNeeds {
		if answer[key] == nil {
			return understood{}, fmt.Errorf("%s takes no ack without %s", r.client, key)
		}
	}
	// Newer libraries give these a meaning.
	for _, key := range []string{"type", "domain", "val", "batch", "count"} {
		if answer[key] != nil {
			return understood{}, fmt.Errorf("%s takes the key %s for that of JetStream", r.client, key)
		}
	}
	var u understood
	return u, errors.Join(
		text(answer, "stream", &u.stream), number(answer, "seq", r.maxSeq, &u.sequence), truth(answer, "duplicate", &u.duplicate))
}

func (r *rules) readError(data []byte) (understood, error) {
	inner, err := object(data)
	if err != nil {
		return understood{}, fmt.Errorf("error: %w", err)
	}
	for key := range inner {
		if r.errorKeys != nil && !slices.Contains(r.errorKeys, key) {
			return understood{}, fmt.Errorf("%s takes no error with the key %s", r.client, key)
		}
	}
	for _, key := range r.errorNeeds {
		if inner[key] == nil {
			return understood{}, fmt.Errorf("%s takes no error without %s", r.client, key)
		}
	}
	var u understood
	err = errors.Join(number(inner, "code", r.maxCode, &u.code), number(inner, "err_code", r.maxErrCode, &u.errCode),
		text(inner, "description", &u.description))
	if err == nil && u.code == 0 && u.errCode == 0 {
		err = fmt.Errorf("%s takes an error without a number for an ack", r.client)
	}
	return u, err
}

// object reads one JSON object, in which no key comes twice: async-nats refuses that,
// others take one of the two.
func object(data []byte) (map[string]json.RawMessage, error) {
	fields := make(map[string]json.RawMessage)
	d := json.NewDecoder(bytes.NewReader(data))
	if begin, err := d.Token(); err != nil || begin != json.Delim('{') {
		return nil, fmt.Errorf("%.100q is no JSON object", data)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("%w in %.100q", err, data)
		}
		name, _ := key.(string)
		if fields[name] != nil {
			return nil, fmt.Errorf("key %s comes twice", name)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("%w in %.100q", err, data)
		}
		fields[name] = value
	}
	if _, err := d.Token(); err != nil || d.InputOffset() != int64(len(data)) {
		return nil, fmt.Errorf("%.100q is more than a JSON object, or less", data)
	}
	return fields, nil
}

func text(fields map[string]json.RawMessage, key string, into *string) error {
	if fields[key] == nil {
		return nil
	}
	if fields[key][0] != '"' {
		return fmt.Errorf("%s is no string: %s", key, fields[key])
	}
	return json.Unmarshal(fields[key], into)
}

func truth(fields map[string]json.RawMessage, key string, into *bool) error {
	switch string(fields[key]) {
	case "true":
		*into = true
	case "", "false":
	default:
		return fmt.Errorf("%s is no boolean: %s", key, fields[key])
	}
	return nil
}

// number reads a whole number, without a sign, point or exponent.
func number(fields map[string]json.RawMessage, key string, limit uint64, into *uint64) error {
	if fields[key] == nil {
		return nil
	}
	if err := json.Unmarshal(fields[key], into); err != nil || *into > limit {
		return fmt.Errorf("%s is no number up to %d: %s", key, limit, fields[key])
	}
	return nil
}

// readByAll checks that every library reads the same out of an answer.
func readByAll(t *testing.T, data []byte, want understood) {
	t.Helper()
	for i := range readers {
		got, err := readers[i].read(data)
		if err != nil {
			t.Errorf("%s cannot read %s: %v", readers[i].client, data, err)
			continue
		}
		if want.description == "" {
			got.description = ""
		}
		if got != want {
			t.Errorf("%s reads %+v out of %s, want %+v", readers[i].client, got, data, want)
		}
	}
}

func TestReadersRefuseWhatTheirLibrariesDo(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		refuse string // clients
	}{
		"an error of JetStream":       {`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 1"},"stream":"S","seq":0}`, ""},
		"an ack of JetStream":         {`{"stream":"S","seq":7}`, ""},
		"a duplicate of JetStream":    {`{"stream":"S","seq":7,"duplicate":true}`, ""},
		"an error with one key more":  {`{"error":{"code":400,"err_code":10071,"description":"","name":"X"}}`, "nats.py|nats.py, package nats-jetstream"},
		"an error without its class":  {`{"error":{"err_code":10071,"description":""}}`, "nats.py|nats.js|nats.java|async-nats|nats.net|nats.c|nats.go"},
		"a code that is a string":     {`{"error":{"code":400,"err_code":"X","description":""}}`, "all"},
		"a code that is too large":    {`{"error":{"code":400,"err_code":65536,"description":""}}`, "nats.c|nats.go"},
		"an ack without a stream":     {`{"seq":7}`, "nats.py|nats.py, package nats-jetstream|nats.js|nats.java|async-nats|nats.net|nats.go"},
		"a sequence that is a string": {`{"stream":"S","seq":"7"}`, "all"},
		"a sequence that is rounded":  {`{"stream":"S","seq":9007199254740993}`, "nats.js"},
		"a key of JetStream":          {`{"stream":"S","seq":7,"count":1}`, "all"},
		"a key that comes twice":      {`{"stream":"S","stream":"S","seq":7}`, "all"},
		"two objects":                 {`{"stream":"S","seq":7}{}`, "all"},
		"nothing":                     {``, "all"},
	} {
		var refuse []string
		for i := range readers {
			if _, err := readers[i].read([]byte(c.answer)); err != nil {
				refuse = append(refuse, readers[i].client)
			}
		}
		if c.refuse == "all" && len(refuse) == len(readers) {
			continue
		}
		if got := strings.Join(refuse, "|"); got != c.refuse {
			t.Errorf("%s is refused by %q, want %q", name, got, c.refuse)
		}
	}
}

// The texts are what a client may have sent, or a server may say.
func TestEveryErrorIsParsedByEveryClient(t *testing.T) {
	for _, code := range protocol.Codes() {
		for _, detail := range []string{"", "orders", `<&>"\`, "a\x00b\n\u2028\xff", strings.Repeat("x", 1<<16)} {
			data := protocol.EncodeErrorResponse(protocol.NewError(code, detail))
			readByAll(t, data, understood{code: uint64(code.Kind().Status), errCode: uint64(code)})
		}
	}
}

func TestEveryAcknowledgementIsReadByEveryClient(t *testing.T) {
	for _, a := range []protocol.ProduceAck{
		{Stream: "LANEWAY-orders-0", Sequence: 1, Topic: "orders", Records: 1, Ticket: 1, Epoch: 1},
		{Stream: "LANEWAY-orders-0", Sequence: 1<<53 - 1, Duplicate: true, Topic: "orders", Offset: 1<<53 - 2, Records: 7, Ticket: math.MaxUint64, Epoch: math.MaxUint64},
	} {
		readByAll(t, protocol.AppendProduceAck(nil, a), understood{stream: a.Stream, sequence: a.Sequence, duplicate: a.Duplicate})
	}
}
