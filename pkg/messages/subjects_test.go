package messages

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestValidTopicName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "Z": true, "0": true, "_": true, "-": true, "orders-2026_A": true,
		strings.Repeat("x", 64): true, strings.Repeat("x", 65): false,
		"": false, ".": false, "*": false, ">": false, " ": false, "/": false,
		"a.b": false, ".a": false, "a.": false, "a b": false, "a*": false, "a>b": false, "a\x00b": false,
		"a\nb": false, "a\\b": false, "a/b": false, "ä": false, "aäb": false, "a\xffb": false, "a\xc3": false,
		"a..b": false, "a.b.c": false, "a\u200bb": false,
	} {
		if got := ValidTopicName(name); got != want {
			t.Errorf("ValidTopicName(%q) is %v", name, got)
		}
	}
}

func TestEveryByteOfATopicNameCounts(t *testing.T) {
	for b := range 256 {
		letter := b == '_' || b == '-' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
		for _, name := range []string{string([]byte{byte(b)}), string([]byte{byte(b), 'x'}), string([]byte{'x', byte(b)}), string([]byte{'x', byte(b), 'x'})} {
			if got := ValidTopicName(name); got != letter {
				t.Errorf("ValidTopicName(%q) is %v", name, got)
			}
		}
	}
}

func TestSubjectsOfAPartition(t *testing.T) {
	p := Partition{Topic: "orders", TopicID: 9, Number: 12}
	again := p
	again.Incarnation = 3
	for got, want := range map[string]string{
		p.String():            "orders/12",
		p.ProduceSubject():    "laneway.produce.orders.12",
		p.FetchSubject():      "laneway.fetch.orders.12",
		p.SequencerSubject():  "_laneway.sequencer.orders.12",
		p.ReplicatorSubject(): "_laneway.replicator.orders.12",
		p.CommittedSubject():  "_laneway.committed.orders.12",
		p.LogSubject():        "_laneway.log.orders.12.9",
		p.Stream():            "LANEWAY-orders-12",
		p.LogStream():         "LANEWAY-orders-12",
		again.LogSubject():    "_laneway.log.orders.12.9.3",
		again.LogStream():     "LANEWAY-orders-12_3",

		FrontendSubject(math.MaxUint64): "_laneway.frontend.18446744073709551615",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWildcardsCoverTheirSubjects(t *testing.T) {
	p := Partition{Topic: "orders", Number: 1}
	for subject, wildcard := range map[string]string{
		p.SequencerSubject():  SequencerWildcard,
		p.ReplicatorSubject(): ReplicatorWildcard,
		p.CommittedSubject():  CommittedWildcard,
	} {
		if !strings.HasPrefix(subject, strings.TrimSuffix(wildcard, ">")) {
			t.Errorf("%s does not cover %s", wildcard, subject)
		}
	}
	for _, subject := range []string{
		StageSubject, FrontendSubject(1), p.SequencerSubject(), p.ReplicatorSubject(), p.CommittedSubject(), p.LogSubject(),
	} {
		if !strings.HasPrefix(subject, InternalPrefix) {
			t.Errorf("%s is not internal", subject)
		}
	}
}

func TestPartitionsShareNoStreamAndNoSubject(t *testing.T) {
	// Few letters, so that names like a and a-1 meet.
	partition := rapid.Custom(func(t *rapid.T) Partition {
		return Partition{
			Topic:   rapid.StringMatching(`[a1-]{1,4}`).Draw(t, "topic"),
			TopicID: 5,
			Number:  rapid.Int32Range(0, MaxPartitions-1).Draw(t, "number"),

			Incarnation: rapid.Uint32Range(0, 2).Draw(t, "incarnation"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := partition.Draw(t, "a"), partition.Draw(t, "b")
		if a != b && (a.LogStream() == b.LogStream() || a.LogSubject() == b.LogSubject()) {
			t.Fatalf("%v and %v share %s", a, b, a.LogStream())
		}
		reborn := a
		reborn.TopicID++
		if a.LogSubject() == reborn.LogSubject() {
			t.Fatalf("two topics that had the name one after the other share %s", a.LogSubject())
		}
	})
}

func TestAnswersGoToInboxesOnly(t *testing.T) {
	for reply, want := range map[string]bool{
		"": true, "_INBOX.a.b": true, "_R_.x.y": true, "my.inbox.1": true,
		"$KV.LANEWAY_TOPICS.orders": false, "$JS.API.STREAM.DELETE.S": false, "_laneway.log.orders.0.4d": false,
		"_laneway.stage": false, "laneway.api.topic.delete": false, "laneway.produce.orders.0": false,
	} {
		if got := ReplyTo(reply); (got == reply) != want || !want && got != "" {
			t.Errorf("the answer to %q goes to %q", reply, got)
		}
	}
}
