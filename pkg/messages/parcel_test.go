package messages

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parcelOf returns the wire form of messages that travel together.
func parcelOf(all ...Message) (data []byte, ends []int) {
	EncodeParcelFor(all, func(lent []byte, at []int) { data, ends = slices.Clone(lent), at })
	return data, ends
}

func open(t testing.TB, data []byte) []Message {
	t.Helper()
	var all []Message
	if err := DecodeParcel(data, func(m Message) { all = append(all, m) }); err != nil {
		t.Fatal(err)
	}
	return all
}

// sampled returns one full message of each kind.
func sampled() (all []Message) {
	for k := kindStage; len(all) < len(samples); k++ {
		all = append(all, samples[k])
	}
	return all
}

func TestParcelHasItsMessagesInTheirOrder(t *testing.T) {
	samples := sampled()
	data, ends := parcelOf(samples...)
	if diff := cmp.Diff(samples, open(t, data)); diff != "" {
		t.Errorf("-sent +received\n%s", diff)
	}
	start := 0
	for i, end := range ends {
		if !slices.Equal(data[start:end], Encode(samples[i])) {
			t.Errorf("message %d does not end at byte %d", i, end)
		}
		start = end
	}
	if diff := cmp.Diff([]Message{samples[0]}, open(t, Encode(samples[0]))); diff != "" {
		t.Errorf("a message by itself: -sent +received\n%s", diff)
	}
}

func TestMalformedParcelPassesNothing(t *testing.T) {
	data, ends := parcelOf(sampled()[:3]...)
	foreign := slices.Clone(data)
	foreign[ends[0]+1]++ // the version of the second message
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"empty":                  {nil, ""},
		"cut in a message":       {data[:ends[1]-1], "message 2 of the parcel"},
		"garbage behind the end": {append(slices.Clone(data), 0), "message 4 of the parcel"},
		"foreign version":        {foreign, "message 2 of the parcel"},
	} {
		t.Run(name, func(t *testing.T) {
			err := DecodeParcel(c.data, func(m Message) { t.Errorf("passes %v", m) })
			wantMalformed(t, err, c.says)
		})
	}
}

func TestParcelIsBounded(t *testing.T) {
	large, small := Message(stageOf(1, parcelBytes)), Message(Hello{})
	for name, c := range map[string]struct {
		all  []Message
		want int
	}{
		"large message by itself":        {[]Message{large, small}, 1},
		"large message in its own":       {[]Message{small, large}, 1},
		"small messages together":        {slices.Repeat([]Message{small}, 4096), 4096},
		"messages up to the limit":       {slices.Repeat([]Message{stageOf(1, parcelBytes/4)}, 8), 3},
		"heartbeats of many lanes count": {slices.Repeat([]Message{Advance{Lanes: make([]LaneProgress, 2000)}}, 100), 8},
	} {
		if got := len(Parcel(c.all)); got != c.want {
			t.Errorf("%s: %d messages, want %d", name, got, c.want)
		}
	}
}

func FuzzDecodeParcel(f *testing.F) {
	all, _ := parcelOf(sampled()...)
	f.Add(all)
	f.Add(Encode(sampleStage))
	f.Add(append(Encode(sampleStage), raw(f, message(kindOutcomes, 1, hugeArray))...))
	f.Fuzz(func(t *testing.T, data []byte) {
		var first []Message
		if DecodeParcel(data, func(m Message) { first = append(first, m) }) != nil {
			if first != nil {
				t.Fatalf("passed %v", first)
			}
			return
		}
		again, _ := parcelOf(first...)
		if diff := cmp.Diff(first, open(t, again)); diff != "" {
			t.Fatalf("-first +second\n%s", diff)
		}
	})
}
