package bench

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/HdrHistogram/hdrhistogram-go"

	"laneway.dev/pkg/protocol"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 100}, 3},
	} {
		before := slices.Clone(c.values)
		if got := median(c.values); got != c.want || !slices.Equal(before, c.values) {
			t.Errorf("median of %v is %v, want %v; they are left as %v", before, got, c.want, c.values)
		}
	}
}

// plan returns one that passes its own check.
func plan(work Work) Plan {
	return Plan{
		Work: work, Versus: true, Rounds: 3, RecordBytes: 1024, Duration: time.Second, Bytes: 1 << 20, BatchBytes: 64 << 10,
		Producers: 16, InFlight: 5, Interval: 10 * time.Millisecond, Cluster: 1,
	}
}

// measured returns a report with values for the contenders of a work, by round.
func measured(t *testing.T, work Work, values ...[]float64) *Report {
	t.Helper()
	p := plan(work)
	contenders := p.contenders()
	if len(contenders) != len(values) {
		t.Fatalf("%d contenders, %d given", len(contenders), len(values))
	}
	r := newReport(&p, contenders)
	for i, rounds := range values {
		for _, v := range rounds {
			round := Round{Records: 10, Bytes: 10240, Seconds: 1, Value: v}
			if work == Latency {
				round.Latency = &Percentiles{v, 2 * v, 3 * v, 4 * v, 5 * v}
			}
			r.Contenders[i].Rounds = append(r.Contenders[i].Rounds, round)
		}
	}
	r.compare()
	return r
}

func TestRatios(t *testing.T) {
	r := measured(t, Publish, []float64{100, 300, 200}, []float64{400, 100, 800}, []float64{50, 10, 20})
	if c := r.Contenders[0]; c.Name != "laneway" || c.Median != 200 || c.Min != 100 || c.Max != 300 {
		t.Errorf("laneway: %+v", c)
	}
	want := []Ratio{
		{Against: "jetstream async publish, sync default", Ratio: 0.5, Min: 0.25, Max: 3, Best: true, BestOfSync: true},
		{Against: "jetstream async publish, sync always", Ratio: 10, Min: 2, Max: 30, BestOfSync: true},
	}
	if !slices.Equal(r.Ratios, want) {
		t.Errorf("%+v, want %+v", r.Ratios, want)
	}
}

func TestLowestLatencyIsBest(t *testing.T) {
	r := measured(t, Latency, []float64{2}, []float64{1}, []float64{4})
	if r.Unit != "ms" || r.Better != "lower" || !r.Ratios[0].Best || r.Ratios[1].Best || r.Ratios[1].Ratio != 0.5 {
		t.Errorf("%+v", r)
	}
}

func TestContenders(t *testing.T) {
	for _, c := range []struct {
		work       Work
		partitions int
		want       int
	}{
		{Produce, 1, 7},
		{Publish, 1, 3},
		{Latency, 1, 3},
		{Consume, 1, 3},
		{Create, 1, 3},
		{Restart, 1, 3},
		{Idle, 1, 3},

		// With partitions, Laneway with one of them is added, and only PublishAsync spreads records over streams.
		{Produce, 8, 4},
		{Publish, 8, 4},
		{Latency, 8, 4},
		{Create, 8, 3},
		{Restart, 8, 3},
		{Idle, 8, 3},
	} {
		work, want := c.work, c.want
		p := plan(work)
		p.Partitions = c.partitions
		names := map[string]bool{}
		for _, c := range p.contenders() {
			names[c.name()] = true
		}
		if len(names) != want {
			t.Errorf("%s: %d contenders of different names, want %d: %v", work, len(names), want, names)
		}
		p.Versus = false
		for _, alone := range p.contenders() {
			if alone.system != Laneway {
				t.Errorf("%s alone: %s", work, alone.name())
			}
		}
	}
}

func TestRejectsBadPlans(t *testing.T) {
	for name, spoil := range map[string]func(*Plan){
		"tiny records":        func(p *Plan) { p.RecordBytes = stampBytes - 1 },
		"batch of no record":  func(p *Plan) { p.BatchBytes = p.RecordBytes - 1 },
		"less than a batch":   func(p *Plan) { p.Bytes = int64(p.BatchBytes) - 1 },
		"too many for atomic": func(p *Plan) { p.Producers = maxAtomicBatches + 1 },
		"a server of others":  func(p *Plan) { p.Server = "nats://127.0.0.1:4222" },
		"archiving of others": func(p *Plan) { p.Versus, p.Server, p.ArchiveBytes = false, "nats://127.0.0.1:4222", new(int64) },
		"two servers":         func(p *Plan) { p.Cluster = 2 },
		"record over batch":   func(p *Plan) { p.BatchBytes = 5 << 20 },
		"rate over the clock": func(p *Plan) { p.Work, p.Interval = Latency, 0 },
		"too many partitions": func(p *Plan) { p.Partitions = protocol.MaxPartitions + 1 },
		"too many topics":     func(p *Plan) { p.Work, p.Topics = Idle, protocol.MaxTopics+1 },
		"too many altogether": func(p *Plan) {
			p.Work, p.Topics, p.Partitions = Idle, protocol.MaxAllPartitions/protocol.MaxPartitions+1, protocol.MaxPartitions
		},
		"producers of no partition": func(p *Plan) { p.Work, p.Partitions, p.Producing = Restart, 4, 5 },
		"too many producers": func(p *Plan) {
			p.Work, p.Partitions, p.Producing, p.Producers = Restart, 100, 100, maxSeeds/100+1
		},
		"restart of others": func(p *Plan) { p.Versus, p.Server, p.Work = false, "nats://127.0.0.1:4222", Restart },
		"memory of others":  func(p *Plan) { p.Versus, p.Server, p.Work = false, "nats://127.0.0.1:4222", Idle },
	} {
		p := plan(Produce)
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		if spoil(&p); p.Check() == nil {
			t.Errorf("%s: %+v is taken", name, p)
		}
	}
}

func TestReportJSON(t *testing.T) {
	data, err := json.Marshal(measured(t, Latency, []float64{2}, []float64{1}, []float64{4}))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Started time.Time
		Machine map[string]any
		Work    struct {
			Name             string
			Rounds           int
			RecordBytes      int     `json:"record_bytes"`
			RecordsPerSecond float64 `json:"records_per_second"`
			Partitions       int
			DurationSeconds  float64 `json:"duration_seconds"`
			Bytes            int64
			Cluster          int
		}
		Unit, Better string
		Contenders   []struct {
			Name, System, Mode, Sync string
			Median, Min, Max         float64
			Rounds                   []struct {
				Records, Bytes int64
				Seconds, Value float64
				Latency        struct {
					P50  float64 `json:"p50_ms"`
					P90  float64 `json:"p90_ms"`
					P99  float64 `json:"p99_ms"`
					P999 float64 `json:"p99_9_ms"`
					Max  float64 `json:"max_ms"`
				}
			}
		}
		Ratios []struct {
			Against         string
			Ratio, Min, Max float64
			Best            bool
			BestOfSync      bool `json:"best_of_sync"`
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Work.Name != "latency" || got.Work.RecordsPerSecond != 100 || got.Contenders[1].Rounds[0].Latency.P999 != 4 || !got.Ratios[0].BestOfSync {
		t.Errorf("%+v", got)
	}
}

func TestReportTable(t *testing.T) {
	var out bytes.Buffer
	r := measured(t, Publish, []float64{100}, []float64{400}, []float64{50})
	r.Notes = []string{"mind the gap"}
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"laneway ", "jetstream async publish, sync default", "0.25×", "JetStream's best", "its best of this sync", "mind the gap", "1.0 KiB",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestReportWording(t *testing.T) {
	one, seven := []float64{1}, make([][]float64, 7)
	for i := range seven {
		seven[i] = one
	}
	for work, c := range map[Work]struct {
		values [][]float64
		want   []string
		not    string
	}{
		Latency: {[][]float64{one, one, one}, []string{"p50 ms", "nothing archived", "LANEWAY TAKES", "Of milliseconds less is better"}, "LANEWAY IS"},
		Produce: {seven, []string{"1 round,", "64 MiB archived at a time", "1 producer with 5 in flight", "records/s", "LANEWAY IS", "64 KiB messages, sync always"}, "1 rounds"},
		Consume: {[][]float64{one, one, one}, []string{"1.0 MiB read", "64 KiB messages, sync default"}, "in flight"},
	} {
		var out bytes.Buffer
		r := measured(t, work, c.values...)
		archived := int64(64 << 20)
		r.Work.Rounds, r.Work.ArchiveBytes = 1, &archived
		if work == Latency {
			archived = 0
		} else {
			r.Work.Producers = 1
		}
		if err := r.Print(&out); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is missing in\n%s", work, want, out.String())
			}
		}
		if strings.Contains(out.String(), c.not) {
			t.Errorf("%s: %q is in\n%s", work, c.not, out.String())
		}
	}
}

func TestPageIsSelfContained(t *testing.T) {
	for work, values := range map[Work][][]float64{
		Latency: {{2, 3}, {1, 1}, {4, 9000}},
		Publish: {{100, 200}, {400, 500}, {50, 1}},
	} {
		var out bytes.Buffer
		if err := measured(t, work, values...).WriteHTML(&out); err != nil {
			t.Fatal(err)
		}
		for _, foreign := range []string{"<script", "http://", "https://", "url(", "<link", "NaN", "Inf", "ZgotmplZ"} {
			if strings.Contains(out.String(), foreign) {
				t.Errorf("%s: the page has %q", work, foreign)
			}
		}
		for _, mark := range []string{"JetStream&#39;s best", "its best of this sync"} {
			if !strings.Contains(out.String(), "<td>"+mark+"</td>") {
				t.Errorf("%s: the page does not mark %q", work, mark)
			}
		}
		if n := strings.Count(out.String(), "<svg"); n != 2 {
			t.Errorf("%s: %d plots", work, n)
		}
		for part := range strings.SplitSeq(out.String(), "<svg") {
			if svg, _, found := strings.Cut(part, "</svg>"); found {
				wellFormed(t, "<svg"+svg+"</svg>")
			}
		}
	}
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := decoder.Token(); err == io.EOF { //nolint:errorlint // returned as it is
			return
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
}

func TestPlotStaysInBox(t *testing.T) {
	r := measured(t, Publish, []float64{1e6, 2e6}, []float64{0.01, 3e6}, []float64{5, 5})
	for _, p := range []plot{r.plotValues(), r.plotRatios()} {
		for _, row := range p.Rows {
			for _, x := range append(row.Dots, row.From, row.To, row.Bar) {
				if math.IsNaN(x) || x < 0 || x > plotRight+0.5 {
					t.Errorf("%+v", row)
				}
			}
		}
		const letter, dot = 7, 4 // at most, in units of the box
		for _, mark := range p.Ticks {
			if half := float64(letter*utf8.RuneCountInString(mark.Text)) / 2; mark.X+half > float64(p.Width) || p.TickY+letter > p.Height {
				t.Errorf("%+v is cut off", mark)
			}
		}
		for _, row := range p.Rows {
			for _, x := range row.Dots {
				if x-dot <= float64(p.LabelX) {
					t.Errorf("a dot touches the name: %+v", row)
				}
			}
		}
		if len(p.Ticks) < 2 || len(p.Ticks) > 14 {
			t.Errorf("%d ticks", len(p.Ticks))
		}
	}
}

func TestPercentiles(t *testing.T) {
	h := hdrhistogram.New(1, maxLatency.Nanoseconds(), latencyDigits)
	for n := range 1000 {
		if err := h.RecordValue((time.Duration(n+1) * time.Millisecond).Nanoseconds()); err != nil {
			t.Fatal(err)
		}
	}
	got := summarize(h)
	for _, c := range []struct{ got, want float64 }{{got.P50, 500}, {got.P90, 900}, {got.P99, 990}, {got.P999, 999}, {got.Max, 1000}} {
		if math.Abs(c.got-c.want) > c.want/500 {
			t.Errorf("%+v", got)
		}
	}
}
