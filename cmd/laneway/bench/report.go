package bench

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
)

// Report is the result of a benchmark. Its JSON is stable: fields may be added, and none
// changes its meaning.
type Report struct {
	Started    time.Time   `json:"started"`
	Machine    Machine     `json:"machine"`
	Work       Settings    `json:"work"`
	Unit       string      `json:"unit"`   // of all values: records/s, ms or KiB
	Better     string      `json:"better"` // higher or lower
	Contenders []Contender `json:"contenders"`
	Ratios     []Ratio     `json:"ratios,omitempty"`
	Notes      []string    `json:"notes,omitempty"` // what a reader must know
}

// Machine is the machine of the benchmark.
type Machine struct {
	System       string `json:"system"`
	Architecture string `json:"architecture"`
	CPUs         int    `json:"cpus"` // that this process may use
	Go           string `json:"go"`
}

// Settings are the settings of the plan.
type Settings struct {
	Name             Work    `json:"name"`
	Rounds           int     `json:"rounds"`
	RecordBytes      int     `json:"record_bytes"`
	BatchBytes       int     `json:"batch_bytes,omitempty"`
	Producers        int     `json:"producers,omitempty"`
	InFlight         int     `json:"in_flight,omitempty"`
	RecordsPerSecond float64 `json:"records_per_second,omitempty"` // the fixed rate of latency, to two digits
	Topics           int     `json:"topics,omitempty"`             // if their number was given
	Partitions       int     `json:"partitions,omitempty"`         // of each topic
	Producing        int     `json:"producing,omitempty"`          // partitions with producers before a restart
	DurationSeconds  float64 `json:"duration_seconds,omitempty"`
	Bytes            int64   `json:"bytes"`
	Cluster          int     `json:"cluster"`                 // NATS servers, and replicas
	ArchiveBytes     *int64  `json:"archive_bytes,omitempty"` // that Laneway archives at a time, unless it is the default
}

// Contender is one way to do the work, with its measurements.
type Contender struct {
	Name   string  `json:"name"`
	System string  `json:"system"` // laneway or jetstream
	Mode   string  `json:"mode"`
	Sync   string  `json:"sync"` // always or default, JetStream's every two minutes
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Rounds []Round `json:"rounds"`
}

// Ratio is Laneway's median over that of another.
type Ratio struct {
	Against string  `json:"against"` // the name of a contender
	Ratio   float64 `json:"ratio"`
	// Min and Max are the lowest and highest ratio within a round. Within a round, both
	// systems find the machine in about the same state.
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
	Best bool    `json:"best"` // of all of JetStream's ways
	// BestOfSync is the best of those with the same sync.
	BestOfSync bool `json:"best_of_sync"`
}

func newReport(p *Plan, contenders []*contender) *Report {
	r := &Report{
		Started: time.Now().UTC(),
		Machine: Machine{runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), runtime.Version()},
		Work: Settings{
			Name: p.Work, Rounds: p.Rounds, RecordBytes: p.RecordBytes, Bytes: p.Bytes, Cluster: p.Cluster, ArchiveBytes: p.ArchiveBytes,
			DurationSeconds: p.Duration.Seconds(), Topics: p.Topics, Partitions: p.layout().partitions, Producing: p.Producing,
		},
		Unit: p.workload().unit, Better: p.workload().better,
	}
	switch p.Work {
	case Produce, Consume:
		r.Work.BatchBytes, r.Work.Producers, r.Work.InFlight = p.BatchBytes, p.Producers, p.InFlight
	case Publish:
		r.Work.Producers, r.Work.InFlight = p.Producers, p.InFlight
	case Latency:
		r.Work.RecordsPerSecond = math.Round(100/p.Interval.Seconds()) / 100
	case Restart:
		r.Work.Producers = p.Producers
	}
	for _, c := range contenders {
		r.Contenders = append(r.Contenders, Contender{Name: c.name(), System: c.system, Mode: c.mode, Sync: c.sync})
	}
	if inMemory(p.Folder) {
		r.Notes = append(r.Notes, "The data lay in memory ("+p.Folder+"), where a sync costs nothing: name a folder on a disk by --data.")
	}
	if p.Server != "" && p.Work == Consume {
		r.Notes = append(r.Notes, "Laneway ran already: what was read may have been in its cache.")
	}
	return r
}

// median returns the middle of the values; 0 without any.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// values returns the values of the rounds.
func (c *Contender) values() []float64 {
	all := make([]float64, len(c.Rounds))
	for i, r := range c.Rounds {
		all[i] = r.Value
	}
	return all
}

// compare computes the medians and ratios from the rounds.
func (r *Report) compare() {
	for i := range r.Contenders {
		c := &r.Contenders[i]
		values := c.values()
		c.Median, c.Min, c.Max = median(values), slices.Min(values), slices.Max(values)
	}
	for i := range r.Contenders[1:] {
		other := &r.Contenders[i+1]
		ratio := ratioOf(r.Contenders[0].values(), other.values())
		ratio.Against = other.Name
		if other.System == JetStream {
			ratio.Best, ratio.BestOfSync = r.isBest(other, ""), r.isBest(other, other.Sync)
		}
		r.Ratios = append(r.Ratios, ratio)
	}
}

// ratioOf compares the medians of the values of rounds, and the values of each round.
func ratioOf(own, other []float64) Ratio {
	rounds := make([]float64, len(own))
	for i := range rounds {
		rounds[i] = own[i] / other[i]
	}
	return Ratio{Ratio: median(own) / median(other), Min: slices.Min(rounds), Max: slices.Max(rounds)}
}

// isBest reports whether no other contender of the same system has a better median. If sync
// is not empty, only those with this sync are compared.
func (r *Report) isBest(c *Contender, sync string) bool {
	for _, other := range r.Contenders {
		if other.System != c.System || sync != "" && other.Sync != sync {
			continue
		}
		if r.Better == higher && other.Median > c.Median || r.Better == lower && other.Median < c.Median {
			return false
		}
	}
	return true
}

// summary describes in a few words what was measured.
func (r *Report) summary() string {
	w := &r.Work
	parts := []string{count(w.Rounds, "round")}
	if w.Name == Consume {
		parts = append(parts, bytesOf(w.Bytes)+" read")
	}
	parts = append(parts, "records of "+bytesOf(w.RecordBytes))
	if w.BatchBytes > 0 {
		sent := ""
		if w.Name == Consume {
			sent = "sent before in "
		}
		parts = append(parts, sent+"batches of "+bytesOf(w.BatchBytes))
	}
	switch {
	case w.Name == Restart:
		parts = append(parts, fmt.Sprintf("%s in each of %s", count(w.Producers, "producer"), count(w.Producing, "partition")))
	case w.Producers > 0 && w.Name != Consume:
		parts = append(parts, fmt.Sprintf("%s with %d in flight", count(w.Producers, "producer"), w.InFlight))
	}
	if w.RecordsPerSecond > 0 {
		unit := " records a second"
		if w.RecordsPerSecond == 1 {
			unit = " record a second"
		}
		parts = append(parts, humanize.Commaf(w.RecordsPerSecond)+unit)
	}
	if spread := w.spread(); spread != "" {
		parts = append(parts, spread)
	}
	if w.Cluster > 1 {
		parts = append(parts, fmt.Sprintf("%d NATS servers and replicas", w.Cluster))
	}
	switch {
	case w.ArchiveBytes == nil:
	case *w.ArchiveBytes == 0:
		parts = append(parts, "nothing archived")
	default:
		parts = append(parts, bytesOf(*w.ArchiveBytes)+" archived at a time")
	}
	return fmt.Sprintf("%s, %s/%s with %s: %s. %s", r.Started.Format(time.RFC3339), r.Machine.System, r.Machine.Architecture,
		count(r.Machine.CPUs, "CPU"), strings.Join(parts, ", "), r.condition())
}

// condition describes under which condition records count.
func (r *Report) condition() string {
	if r.Work.Name == Consume {
		return "One consumer reads everything from the beginning and checks it."
	}
	return "Laneway answers when everything is on disk (sync always)."
}

// value names the figures.
func (r *Report) value() string { return workloads()[r.Work.Name].value }

// verb is the verb between Laneway and a ratio.
func (r *Report) verb() string {
	if r.Better == lower {
		return "takes"
	}
	return "is"
}

// reading says how to read the figures.
func (r *Report) reading() string {
	text, than := workloads()[r.Work.Name].reading, "above"
	if r.Better == lower {
		than = "below"
	}
	if len(r.Ratios) > 0 {
		text += ". A ratio " + than + " 1× is in favour of Laneway"
	}
	return text + "."
}

// count prints a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// bytesOf prints a size.
func bytesOf[N int | int64](n N) string { return humanize.IBytes(uint64(n)) }

// Print writes the report as text.
func (r *Report) Print(out io.Writer) error {
	text := &strings.Builder{}
	_, _ = fmt.Fprintf(text, "%s\n\n", r.summary())
	columns := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0)
	for i, table := range r.tables() {
		if i > 0 {
			_, _ = fmt.Fprintln(columns)
		}
		for _, row := range append([][]string{table.Heading}, table.Rows...) {
			_, _ = fmt.Fprintln(columns, strings.Join(row, "\t"))
		}
	}
	_ = columns.Flush() // writes to memory cannot fail
	_, _ = fmt.Fprintf(text, "\n%s\n", r.reading())
	for _, note := range r.Notes {
		_, _ = fmt.Fprintf(text, "\nNote: %s\n", note)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// remark marks the best results of JetStream.
func (r *Ratio) remark() string {
	switch {
	case r.Best:
		return "JetStream's best"
	case r.BestOfSync:
		return "its best of this sync"
	}
	return ""
}
