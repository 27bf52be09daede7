package storeid

import (
	"strings"
	"testing"
)

func TestStoreIsComparedWithTheRecordOfTheCluster(t *testing.T) {
	const c, other, s = "CLUSTER", "OTHER", "STORE"
	unmarked := &record{Cluster: c, Place: "there"}
	marked := &record{Cluster: c, Store: s, Place: "there"}
	for name, test := range map[string]struct {
		situation
		write   *record
		mark    *marker
		refused []string // words of the error and its advice
	}{
		"nothing is there":                       {write: &record{Cluster: "FRESH", Place: "here"}},
		"objects and logs, as before markers":    {situation: situation{logs: true}, write: &record{Cluster: "FRESH", Place: "here"}},
		"logs, and an empty store":               {situation: situation{logs: true, empty: true}, refused: []string{"the store has no marker", "--adopt-store"}},
		"no logs, and an empty store to adopt":   {situation: situation{empty: true, adopt: true}, refused: []string{"nothing to adopt", "here is empty"}},
		"logs, and an empty store to adopt":      {situation: situation{logs: true, empty: true, adopt: true}, write: &record{Cluster: "FRESH", Place: "here"}},
		"a marker and no record":                 {situation: situation{marker: &marker{other, s}}, refused: []string{"here belongs to another Laneway", "--adopt-store"}},
		"a marker and logs, the record is lost":  {situation: situation{marker: &marker{other, s}, logs: true}, refused: []string{"here belongs to this Laneway", "LANEWAY_CLUSTER", "--adopt-store"}},
		"a marker and no record, to adopt":       {situation: situation{marker: &marker{other, s}, adopt: true}, mark: &marker{other, s}, write: &record{other, s, "here"}},
		"a record without a store":               {situation: situation{record: unmarked}, mark: &marker{c, "FRESH"}},
		"its marker, which nobody has recorded":  {situation: situation{record: unmarked, marker: &marker{c, s}}, mark: &marker{c, s}, write: &record{c, s, "here"}},
		"another marker, and no store yet":       {situation: situation{record: unmarked, marker: &marker{other, s}}, refused: []string{"here belongs to another Laneway"}},
		"another marker to adopt, no store yet":  {situation: situation{record: unmarked, marker: &marker{other, s}, adopt: true}, mark: &marker{other, s}, write: &record{other, s, "here"}},
		"the same":                               {situation: situation{record: marked, marker: &marker{c, s}}},
		"the same, to adopt":                     {situation: situation{record: marked, marker: &marker{c, s}, adopt: true}},
		"no marker":                              {situation: situation{record: marked}, refused: []string{"here is not that", "no marker", "not mounted", "there", `{"cluster":"CLUSTER","store":"STORE"}`}},
		"no marker, to adopt":                    {situation: situation{record: marked, adopt: true}, refused: []string{"no marker"}},
		"the marker of another Laneway":          {situation: situation{record: marked, marker: &marker{other, s}}, refused: []string{"here belongs to another Laneway", "there"}},
		"the marker of another Laneway to adopt": {situation: situation{record: marked, marker: &marker{other, s}, adopt: true}, refused: []string{"here belongs to another Laneway"}},
		"the store of a role that was too slow":  {situation: situation{record: marked, marker: &marker{c, "SLOW"}}, refused: []string{"here is not that", "there"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.place, test.fresh = "here", "FRESH"
			got := decide(test.situation)
			if !same(got.write, test.write) || !same(got.mark, test.mark) || (got.refused != nil) != (test.refused != nil) {
				t.Fatalf("decided: record %v, marker %v, error %v", got.write, got.mark, got.refused)
			}
			for _, word := range test.refused {
				if !strings.Contains(got.refused.Reason+"\n"+got.refused.Advice, word) {
					t.Errorf("%q is not said by:\n%s\n%s", word, got.refused.Reason, got.refused.Advice)
				}
			}
		})
	}
}

func same[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func TestMarkerThatWasPrintedCanBeReadAgain(t *testing.T) {
	want := marker{"CLUSTER", "STORE"}
	if got, err := decodeMarker([]byte(want.text() + "\n")); err != nil || *got != want {
		t.Errorf("%v, %v", got, err)
	}
	for _, wrong := range []string{"", "{", "{}", `{"cluster":"C"}`, `{"store":"S"}`, "null"} {
		if m, err := decodeMarker([]byte(wrong)); err == nil {
			t.Errorf("%q is taken for %v", wrong, m)
		}
	}
}
