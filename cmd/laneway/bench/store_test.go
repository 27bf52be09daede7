package bench

import (
	"strings"
	"testing"
)

func TestMetricsPageIsRead(t *testing.T) {
	const page = `# HELP a_total Requests.
# TYPE a_total counter
a_total{operation="put",result="ok"} 12
a_total{operation="put",result="full"} 3
b 1.5e+06
`
	got := make(map[string]float64)
	if err := parseMetrics(strings.NewReader(page), func(name, labels string, value float64) { got[name+labels] += value }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[`a_totaloperation="put",result="ok"}`] != 12 || got["b"] != 1.5e6 {
		t.Errorf("samples are %v", got)
	}
	if err := parseMetrics(strings.NewReader("a b\n"), func(string, string, float64) {}); err == nil {
		t.Error("a line without a value is accepted")
	}
}

func TestReportPrintsWhatTheStoreCosts(t *testing.T) {
	r := &Report{Contenders: []Contender{{Name: "laneway", Rounds: []Round{
		{Bytes: 1 << 29, Store: &StoreUse{Puts: 100, Reads: 4, Bytes: 1 << 28}},
		{Bytes: 1 << 30, Store: &StoreUse{Puts: 260, Reads: 8, Bytes: 1 << 29}},
	}}, {Name: "jetstream", Rounds: []Round{{Bytes: 1 << 30}}}}}
	rows := r.storeRows()
	if len(rows) != 1 || strings.Join(rows[0], " ") != "laneway 230 8 0.50×" {
		t.Errorf("rows are %q", rows)
	}
}

func TestStoreOfTheUserIsComparedWithALocalOne(t *testing.T) {
	p := Plan{Work: Produce, Store: "s3://bucket/prefix"}
	all := p.contenders()
	if len(all) != 2 || all[0].store != p.Store || all[1].store != "" || all[0].name() == all[1].name() {
		t.Errorf("contenders are %+v, want one with the store and one with a local store", all)
	}
	if all[0].name() != Laneway {
		t.Errorf("the first one is called %s", all[0].name())
	}
}

func TestEachMeasurementHasItsOwnPrefix(t *testing.T) {
	for given, want := range map[string]string{
		"s3://bucket":                        "s3://bucket/bench-x",
		"s3://bucket/a/":                     "s3://bucket/a/bench-x",
		"s3://bucket/a?endpoint=http://h:70": "s3://bucket/a/bench-x?endpoint=http://h:70",
		"/folder":                            "/folder/bench-x",
	} {
		if got := below(given, "bench-x"); got != want {
			t.Errorf("below %s: %s, want %s", given, got, want)
		}
	}
}
