package messages

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"laneway.dev/pkg/protocol"
)

var sampleGroup = Group{Writer: "W", Number: 3, Sections: []Section{
	{Log: LogID{TopicID: 7, Number: 2}, Kind: SectionFirst, Sequence: 1, Entry: []byte("first"), Topic: "a"},
	{Log: LogID{TopicID: 1 << 40, Number: 4095, Incarnation: 1}, Kind: SectionNext, Sequence: 300, Entry: []byte("next"), Topic: "b", Stage: StageCopying},
	{Log: LogID{TopicID: 8}, Kind: SectionAgain, Sequence: 9, Entry: []byte("again")},
	{Log: LogID{TopicID: 9}, Kind: SectionSuspect, Sequence: 9, Entry: []byte("again")},
	{Log: LogID{TopicID: 7, Number: 1}, Kind: SectionSealed},
	{Log: LogID{TopicID: 7}, Kind: SectionDeleted},
	{Log: LogID{TopicID: 9}, Kind: SectionTrimmed, Sequence: 5},
}}

func TestAnyGroupSurvivesStorage(t *testing.T) {
	section := rapid.Custom(func(t *rapid.T) Section {
		s := Section{
			Log: LogID{
				TopicID: rapid.Uint64().Draw(t, "topic id"), Number: rapid.Int32Min(0).Draw(t, "number"),
				Incarnation: rapid.Uint32().Draw(t, "incarnation"),
			},
			Kind: SectionKind(rapid.IntRange(1, int(sectionKinds)).Draw(t, "kind")),
		}
		if s.Kind.HasEntry() || s.Kind == SectionTrimmed {
			s.Sequence = rapid.Uint64Min(1).Draw(t, "sequence")
		}
		if s.Kind.HasEntry() {
			s.Entry = rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "entry")
			s.Topic = genString.Draw(t, "topic")
			s.Stage = SectionStage(rapid.IntRange(0, int(sectionStages)).Draw(t, "stage"))
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		want := Group{Writer: genString.Draw(t, "writer"), Number: rapid.Uint64().Draw(t, "number"), Sections: listOf(section, 5).Draw(t, "sections")}
		got, err := DecodeGroup(EncodeGroup(want))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("%v, -want +got\n%s", err, diff)
		}
	})
}

// A journal may have groups of any earlier process, so their form must not change by mistake.
func TestGroupIsWrittenAsBefore(t *testing.T) {
	const want = "9401a1570397" +
		"98070200" + "0101c4056669727374" + "a16100" +
		"98cf0000010000000000cd0fff01" + "02cd012cc4046e657874" + "a16201" +
		"98080000" + "0309c405616761696e" + "a000" +
		"98090000" + "0809c405616761696e" + "a000" +
		"98070100" + "0400c400" + "a000" +
		"98070000" + "0500c400" + "a000" +
		"98090000" + "0705c400" + "a000"
	if got := hex.EncodeToString(EncodeGroup(sampleGroup)); got != want {
		t.Errorf("the group is\n%s, want\n%s", got, want)
	}
}

func TestDecodeGroupRefusesWhatIsNoGroup(t *testing.T) {
	of := func(sections ...any) []any { return []any{uint64(groupVersion), "writer", 1, sections} }
	for name, c := range map[string]struct {
		value any
		says  string
	}{
		"no array":             {"group", "decoding array length"},
		"another field":        {append(of(), 1), "group of 5 fields"},
		"no kind":              {of([]any{7, 0, 0, 0, 1, []byte("x"), "a", 0}), "section of kind 0"},
		"unknown kind":         {of([]any{7, 0, 0, 9, 1, []byte("x"), "a", 0}), "section of kind 9"},
		"kind beyond a byte":   {of([]any{7, 0, 0, 257, 1, []byte("x"), "a", 0}), "section of kind 257"},
		"no sequence":          {of([]any{7, 0, 0, 2, 0, []byte("x"), "a", 0}), "with sequence 0"},
		"no entry":             {of([]any{7, 0, 0, 2, 1, []byte{}, "a", 0}), "an entry of 0 bytes"},
		"entry of a deletion":  {of([]any{7, 0, 0, 5, 0, []byte("x"), "a", 0}), "section of kind 5"},
		"trimmed at nothing":   {of([]any{7, 0, 0, 7, 0, []byte{}, "", 0}), "section of kind 7 with sequence 0"},
		"unknown stage":        {of([]any{7, 0, 0, 2, 1, []byte("x"), "a", 4}), "stage 4"},
		"topic of a deletion":  {of([]any{7, 0, 0, 5, 0, []byte{}, "a", 0}), "with topic"},
		"negative number":      {of([]any{7, -1, 0, 2, 1, []byte("x"), "a", 0}), ""},
		"more sections than d": {[]any{uint64(groupVersion), "writer", 1, hugeArray}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeGroup(raw(t, c.value))
			wantMalformed(t, err, c.says)
		})
	}
	data := EncodeGroup(sampleGroup)
	for n := range data {
		if _, err := DecodeGroup(data[:n]); !errors.Is(err, protocol.ErrMalformed) {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
	}
}

func TestGroupOfAnotherVersionIsNotMalformed(t *testing.T) {
	for _, value := range [][]any{{groupVersion + 1, "writer", 1, []any{}}, {groupVersion + 1, "another field", 1, []any{}, 2}} {
		if _, err := DecodeGroup(raw(t, value)); !errors.Is(err, ErrGroupVersion) || errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("error %v", err)
		}
	}
}

func TestOverheadOfASectionIsBounded(t *testing.T) {
	s := Section{
		Log:  LogID{TopicID: math.MaxUint64, Number: math.MaxInt32, Incarnation: math.MaxUint32},
		Kind: SectionNext, Sequence: math.MaxUint64, Entry: make([]byte, 1<<20), Topic: strings.Repeat("x", 249), Stage: StageCopied,
	}
	g := Group{Writer: strings.Repeat("w", 22), Number: math.MaxUint64, Sections: []Section{s}}
	if over := len(EncodeGroup(g)) - len(s.Entry); over > MaxSectionOverhead {
		t.Errorf("a group is %d bytes longer than its entry", over)
	}
}

func TestEntriesOfAGroupAliasIt(t *testing.T) {
	data := EncodeGroup(sampleGroup)
	g, err := DecodeGroup(data)
	if err != nil {
		t.Fatal(err)
	}
	data[bytes.Index(data, []byte("first"))] = 'F'
	if got := string(g.Sections[0].Entry); got != "First" {
		t.Errorf("the entry is %q", got)
	}
}

func FuzzDecodeGroup(f *testing.F) {
	f.Add(EncodeGroup(sampleGroup))
	f.Add(EncodeGroup(Group{}))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := DecodeGroup(data)
		if err != nil {
			if !errors.Is(err, protocol.ErrMalformed) && !errors.Is(err, ErrGroupVersion) {
				t.Fatal(err)
			}
			return
		}
		second, err := DecodeGroup(EncodeGroup(first))
		if diff := cmp.Diff(first, second); err != nil || diff != "" {
			t.Fatalf("%v, -first +second\n%s", err, diff)
		}
	})
}
