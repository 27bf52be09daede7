package journal

import (
	"slices"
	"testing"

	"laneway.dev/pkg/messages"
)

func TestLaterIncarnationsOfALogAreKnownUntilTheyAreDeleted(t *testing.T) {
	x := NewIndex()
	id := func(topic uint64, number int32, incarnation uint32) messages.LogID {
		return messages.LogID{TopicID: topic, Number: number, Incarnation: incarnation}
	}
	expect := func(of messages.LogID, want ...uint32) {
		t.Helper()
		got := x.Later(of)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("the incarnations above that of %+v are %v, want %v", of, got, want)
		}
	}
	place := uint64(0)
	apply := func(kind messages.SectionKind, logs ...messages.LogID) {
		place++
		g := messages.Group{Writer: "w", Number: place}
		for _, log := range logs {
			g.Sections = append(g.Sections, messages.Section{Log: log, Kind: kind, Sequence: 1, Entry: []byte("e")})
		}
		x.Apply(place, g)
	}
	apply(messages.SectionFirst, id(1, 0, 0), id(1, 0, 1), id(1, 0, 5), id(1, 1, 2), id(2, 0, 3))
	expect(id(1, 0, 0), 1, 5)
	expect(id(1, 0, 1), 5)
	expect(id(1, 0, 5))
	expect(id(1, 1, 0), 2)
	expect(id(3, 0, 0))
	apply(messages.SectionDeleted, id(1, 0, 0), id(1, 0, 1), id(1, 1, 2))
	expect(id(1, 0, 0), 5)
	expect(id(1, 1, 0))
	apply(messages.SectionFirst, id(1, 0, 1))
	expect(id(1, 0, 0), 1, 5)
}
