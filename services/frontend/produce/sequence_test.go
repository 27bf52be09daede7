package produce

import (
	"testing"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// sequenced returns the headers of an idempotent producer; pairs of names and
// values replace some, and an empty value removes one.
func sequenced(pairs ...string) nats.Header {
	h := nats.Header{
		protocol.HeaderProducerID: {"9223372036854775807"}, protocol.HeaderProducerEpoch: {"32766"},
		protocol.HeaderSequence: {"2147483647"}, protocol.HeaderFirstUnacked: {"2147483640"},
	}
	for i := 0; i < len(pairs); i += 2 {
		if h.Del(pairs[i]); pairs[i+1] != "" {
			h.Set(pairs[i], pairs[i+1])
		}
	}
	return h
}

func TestProducerIDSelectsLane(t *testing.T) {
	p, err := parseForTest(&nats.Msg{Header: sequenced(protocol.HeaderProducer, "a name"), Reply: "_INBOX.a.b"})
	want := messages.Sequence{ProducerID: 1<<63 - 1, ProducerEpoch: 1<<15 - 2, First: 1<<31 - 1}
	if err != nil || p.Sequence != want || p.FirstUnacked != 2147483640 || p.Lane != "i:9223372036854775807" {
		t.Fatalf("%+v, first unacked %d, lane %q, error %v", p.Sequence, p.FirstUnacked, p.Lane, err)
	}
}

func TestTheFirstUnackedMayBeLeftOut(t *testing.T) {
	p, err := parseForTest(&nats.Msg{Header: sequenced(protocol.HeaderFirstUnacked, "")})
	if err != nil || p.FirstUnacked != protocol.NotSaid {
		t.Fatalf("first unacked %d, error %v", p.FirstUnacked, err)
	}
}

func TestFirstUnackedMustNotExceedBatch(t *testing.T) {
	for sequence, unacked := range map[string]string{"0": "0", "7": "7", "8": "3", "2": "2147483647", "2147483647": "2147483640"} {
		header := sequenced(protocol.HeaderSequence, sequence, protocol.HeaderFirstUnacked, unacked)
		if _, err := parseForTest(&nats.Msg{Header: header}); err != nil {
			t.Errorf("sequence %s, first unacked %s: %v", sequence, unacked, err)
		}
	}
}

func TestHeadersOfAProducerThatAreRefused(t *testing.T) {
	for name, header := range map[string]nats.Header{
		"no id":                  sequenced(protocol.HeaderProducerID, ""),
		"id zero":                sequenced(protocol.HeaderProducerID, "0"),
		"negative id":            sequenced(protocol.HeaderProducerID, "-1"),
		"id of 64 bits":          sequenced(protocol.HeaderProducerID, "9223372036854775808"),
		"id in words":            sequenced(protocol.HeaderProducerID, "me"),
		"no epoch":               sequenced(protocol.HeaderProducerEpoch, ""),
		"epoch of 16 bits":       sequenced(protocol.HeaderProducerEpoch, "32768"),
		"epoch that retires":     sequenced(protocol.HeaderProducerEpoch, "32767"),
		"first unacked behind":   sequenced(protocol.HeaderSequence, "5", protocol.HeaderFirstUnacked, "6"),
		"first unacked wrapped":  sequenced(protocol.HeaderSequence, "2147483647", protocol.HeaderFirstUnacked, "0"),
		"negative epoch":         sequenced(protocol.HeaderProducerEpoch, "-1"),
		"no sequence":            sequenced(protocol.HeaderSequence, ""),
		"negative sequence":      sequenced(protocol.HeaderSequence, "-1"),
		"sequence of 32 bits":    sequenced(protocol.HeaderSequence, "2147483648"),
		"negative first unacked": sequenced(protocol.HeaderFirstUnacked, "-1"),
		"empty headers": {
			protocol.HeaderProducerID: {""}, protocol.HeaderProducerEpoch: {""}, protocol.HeaderSequence: {""},
		},
		"an empty first unacked": {
			protocol.HeaderProducerID: {"1"}, protocol.HeaderProducerEpoch: {"0"}, protocol.HeaderSequence: {"0"},
			protocol.HeaderFirstUnacked: {""},
		},
		"a message id beside them": sequenced(protocol.HeaderMessageID, "42"),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseForTest(&nats.Msg{Header: header}); err == nil || err.Code != protocol.CodeHeaderInvalid {
				t.Fatalf("error %v, want HEADER_INVALID", err)
			}
		})
	}
}
