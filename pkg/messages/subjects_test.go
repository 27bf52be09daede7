package messages

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"laneway.dev/pkg/protocol"
)

func TestSubjectsOfAPartition(t *testing.T) {
	p := protocol.Partition{Topic: "orders", TopicID: 9, Number: 12, Log: 3}
	again := p
	again.Incarnation = 3
	for got, want := range map[string]string{
		p.String():            "orders/12",
		p.ProduceSubject():    "laneway.produce.orders.12",
		p.FetchSubject():      "laneway.fetch.orders.12",
		SequencerSubject(p):   "_laneway.sequencer.3",
		ReplicatorSubject(p):  "_laneway.replicator.3",
		CommittedSubject(p):   "_laneway.committed.3",
		JournalSubject(p.Log): "_laneway.journal.3",
		JournalStream(p.Log):  "LANEWAY_JOURNAL-3",
		p.Stream():            "LANEWAY-orders-12",
		LogName(p):            "0000000000000009-12",
		LogName(again):        "0000000000000009-12_3",

		FrontendSubject(p, math.MaxUint64): "_laneway.frontend.3.18446744073709551615",
		FrontendWildcard(7):                "_laneway.frontend.*.7",
		AskerSubject(7):                    "_laneway.asker.7",
		StagerSubject("x7"):                "_laneway.stager.x7",
		AliveSubject("x7"):                 "_laneway.alive.x7",

		ParseAliveSubject(AliveSubject("x7")): "x7",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWildcardsCoverTheirSubjects(t *testing.T) {
	p := protocol.Partition{Topic: "orders", Number: 1}
	for subject, wildcard := range map[string]string{
		SequencerSubject(p):  SequencerWildcard,
		ReplicatorSubject(p): ReplicatorWildcard,
		CommittedSubject(p):  CommittedWildcard,
		AliveSubject("x7"):   AliveWildcard,

		JournalSubject(p.Log): JournalWildcard,
	} {
		if !strings.HasPrefix(subject, strings.TrimRight(wildcard, ">*")) {
			t.Errorf("%s does not cover %s", wildcard, subject)
		}
	}
	for _, subject := range []string{
		StageSubject, FrontendSubject(p, 1), AskerSubject(1), SequencerSubject(p), ReplicatorSubject(p), CommittedSubject(p), JournalSubject(p.Log),
		StagerSubject("x7"), AliveSubject("x7"),
	} {
		if !strings.HasPrefix(subject, protocol.InternalPrefix) {
			t.Errorf("%s is not internal", subject)
		}
	}
}

func TestLogsShareNoName(t *testing.T) {
	partition := rapid.Custom(func(t *rapid.T) protocol.Partition {
		return protocol.Partition{
			TopicID: rapid.OneOf(rapid.Uint64Range(1, 20), rapid.Uint64()).Draw(t, "id"),
			Number:  rapid.Int32Range(0, protocol.MaxPartitions-1).Draw(t, "number"),

			Incarnation: rapid.Uint32Range(0, 12).Draw(t, "incarnation"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := partition.Draw(t, "a"), partition.Draw(t, "b")
		if a != b && LogName(a) == LogName(b) {
			t.Fatalf("%+v and %+v share %s", a, b, LogName(a))
		}
	})
}
