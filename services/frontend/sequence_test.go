package frontend

import (
	"testing"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/messages"
)

// sequenced returns the headers of an idempotent producer; pairs of names and
// values replace some, and an empty value removes one.
func sequenced(pairs ...string) nats.Header {
	h := nats.Header{
		messages.HeaderProducerID: {"9223372036854775807"}, messages.HeaderProducerEpoch: {"32766"},
		messages.HeaderSequence: {"2147483647"}, messages.HeaderFirstUnacked: {"2147483640"},
	}
	for i := 0; i < len(pairs); i += 2 {
		if h.Del(pairs[i]); pairs[i+1] != "" {
			h.Set(pairs[i], pairs[i+1])
		}
	}
	return h
}

func TestABatchWithAProducerIDIsOnTheLaneOfItsProducer(t *testing.T) {
	p, err := parseForTest(&nats.Msg{Header: sequenced(messages.HeaderProducer, "a name"), Reply: "_INBOX.a.b"})
	want := messages.Sequence{ProducerID: 1<<63 - 1, ProducerEpoch: 1<<15 - 2, First: 1<<31 - 1}
	if err != nil || p.Sequence != want || p.FirstUnacked != 2147483640 || p.Lane != "i:9223372036854775807" {
		t.Fatalf("%+v, first unacked %d, lane %q, error %v", p.Sequence, p.FirstUnacked, p.Lane, err)
	}
}

func TestTheFirstUnackedMayBeLeftOut(t *testing.T) {
	p, err := parseForTest(&nats.Msg{Header: sequenced(messages.HeaderFirstUnacked, "")})
	if err != nil || p.FirstUnacked != messages.NotSaid {
		t.Fatalf("first unacked %d, error %v", p.FirstUnacked, err)
	}
}

func TestTheFirstUnackedIsTheBatchItselfOrLiesBeforeIt(t *testing.T) {
	for sequence, unacked := range map[string]string{"0": "0", "7": "7", "8": "3", "2": "2147483647", "2147483647": "2147483640"} {
		header := sequenced(messages.HeaderSequence, sequence, messages.HeaderFirstUnacked, unacked)
		if _, err := parseForTest(&nats.Msg{Header: header}); err != nil {
			t.Errorf("sequence %s, first unacked %s: %v", sequence, unacked, err)
		}
	}
}

func TestHeadersOfAProducerThatAreRefused(t *testing.T) {
	for name, header := range map[string]nats.Header{
		"no id":                  sequenced(messages.HeaderProducerID, ""),
		"id zero":                sequenced(messages.HeaderProducerID, "0"),
		"negative id":            sequenced(messages.HeaderProducerID, "-1"),
		"id of 64 bits":          sequenced(messages.HeaderProducerID, "9223372036854775808"),
		"id in words":            sequenced(messages.HeaderProducerID, "me"),
		"no epoch":               sequenced(messages.HeaderProducerEpoch, ""),
		"epoch of 16 bits":       sequenced(messages.HeaderProducerEpoch, "32768"),
		"epoch that retires":     sequenced(messages.HeaderProducerEpoch, "32767"),
		"first unacked behind":   sequenced(messages.HeaderSequence, "5", messages.HeaderFirstUnacked, "6"),
		"first unacked wrapped":  sequenced(messages.HeaderSequence, "2147483647", messages.HeaderFirstUnacked, "0"),
		"negative epoch":         sequenced(messages.HeaderProducerEpoch, "-1"),
		"no sequence":            sequenced(messages.HeaderSequence, ""),
		"negative sequence":      sequenced(messages.HeaderSequence, "-1"),
		"sequence of 32 bits":    sequenced(messages.HeaderSequence, "2147483648"),
		"negative first unacked": sequenced(messages.HeaderFirstUnacked, "-1"),
		"empty headers": {
			messages.HeaderProducerID: {""}, messages.HeaderProducerEpoch: {""}, messages.HeaderSequence: {""},
		},
		"an empty first unacked": {
			messages.HeaderProducerID: {"1"}, messages.HeaderProducerEpoch: {"0"}, messages.HeaderSequence: {"0"},
			messages.HeaderFirstUnacked: {""},
		},
		"a message id beside them": sequenced(messages.HeaderMessageID, "42"),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseForTest(&nats.Msg{Header: header}); err == nil || err.Code != messages.CodeHeaderInvalid {
				t.Fatalf("error %v, want HEADER_INVALID", err)
			}
		})
	}
}
