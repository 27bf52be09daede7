package bench

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
)

// table is a table of the report, with a row for each contender.
type table struct {
	Heading []string
	Rows    [][]string
}

// tables returns the tables of the report that have rows, the one of the values first.
func (r *Report) tables() []table {
	all := []table{
		{r.heading(r.value(), r.verb()), r.rows()},
		{[]string{"ms", "p50", "p90", "p99", "p99.9", "LONGEST"}, r.percentiles()},
		{[]string{"object store", "PUTS PER GiB", "READS PER GiB", "BYTES STORED"}, r.storeRows()},
	}
	for _, c := range costs() {
		if c.of(r.Work.Name) {
			all = append(all, table{r.heading(c.name, "takes"), r.costRows(c.in)})
		}
	}
	return slices.DeleteFunc(all, func(t table) bool { return len(t.Rows) == 0 })
}

// heading returns the heading of a table of figures and their ratios.
func (r *Report) heading(name, verb string) []string {
	heading := []string{name, "MEDIAN", "LOWEST", "HIGHEST"}
	if len(r.Ratios) > 0 {
		heading = append(heading, "LANEWAY "+strings.ToUpper(verb), "IN A ROUND", "")
	}
	return heading
}

// rows returns the rows of the table of values, in the order of the contenders.
func (r *Report) rows() [][]string {
	var rows [][]string
	for i := range r.Contenders {
		c := &r.Contenders[i]
		ratio := (*Ratio)(nil)
		if i > 0 {
			ratio = &r.Ratios[i-1]
		}
		rows = append(rows, r.row(c.Name, c.values(), ratio))
	}
	return rows
}

// row describes the values of a contender's rounds, and their ratio to those of Laneway, which
// the first contender does not have.
func (r *Report) row(name string, values []float64, ratio *Ratio) []string {
	row := []string{name, figure(median(values)), figure(slices.Min(values)), figure(slices.Max(values))}
	switch {
	case ratio != nil:
		row = append(row, times(ratio.Ratio), span(ratio.Min, ratio.Max), ratio.remark())
	case len(r.Ratios) > 0:
		row = append(row, "", "", "")
	}
	return row
}

// cost is a figure of what a work takes beside its value.
type cost struct {
	name string
	of   func(Work) bool
	in   func(*Round) float64 // of a round with the usage of the servers
}

func costs() []cost {
	return []cost{
		{
			"processor time, µs a record", func(w Work) bool { return w != Create && w != Restart && w != Idle },
			func(r *Round) float64 { return 1e6 * r.Servers.CPUSeconds / float64(r.Records) },
		},
		{
			"processor time, % of a core", func(w Work) bool { return w == Idle },
			func(r *Round) float64 { return 100 * r.Servers.CPUSeconds / r.Seconds },
		},
		{
			"memory of the servers, MiB", func(Work) bool { return true },
			func(r *Round) float64 { return float64(r.Servers.MemoryBytes) / (1 << 20) },
		},
	}
}

// costRows returns the rows of a cost; none if it is not known.
func (r *Report) costRows(in func(*Round) float64) [][]string {
	var first []float64
	var rows [][]string
	for i := range r.Contenders {
		c := &r.Contenders[i]
		var values []float64
		for j := range c.Rounds {
			if c.Rounds[j].Servers == nil {
				return nil
			}
			values = append(values, in(&c.Rounds[j]))
		}
		if i == 0 {
			first = values
			rows = append(rows, r.row(c.Name, values, nil))
			continue
		}
		ratio := ratioOf(first, values)
		rows = append(rows, r.row(c.Name, values, &ratio))
	}
	return rows
}

// span returns two ratios as text.
func span(low, high float64) string {
	from, to := times(low), times(high)
	if from == noRatio && to == noRatio {
		return noRatio
	}
	return from + " to " + to
}

// percentiles returns the rows of the table of percentiles; none unless latency was
// measured.
func (r *Report) percentiles() [][]string {
	var rows [][]string
	for i := range r.Contenders {
		c := &r.Contenders[i]
		if len(c.Rounds) == 0 || c.Rounds[0].Latency == nil {
			return nil
		}
		p := c.percentiles()
		rows = append(rows, []string{c.Name, figure(p.P50), figure(p.P90), figure(p.P99), figure(p.P999), figure(p.Max)})
	}
	return rows
}

// percentiles returns the median of each percentile over the rounds, and the longest
// latency of all rounds.
func (c *Contender) percentiles() Percentiles {
	of := func(pick func(*Percentiles) float64) []float64 {
		var all []float64
		for _, r := range c.Rounds {
			all = append(all, pick(r.Latency))
		}
		return all
	}
	return Percentiles{
		P50:  median(of(func(p *Percentiles) float64 { return p.P50 })),
		P90:  median(of(func(p *Percentiles) float64 { return p.P90 })),
		P99:  median(of(func(p *Percentiles) float64 { return p.P99 })),
		P999: median(of(func(p *Percentiles) float64 { return p.P999 })),
		Max:  slices.Max(of(func(p *Percentiles) float64 { return p.Max })),
	}
}

// figure returns a value with a reasonable number of digits.
func figure(v float64) string {
	if v == 0 || v >= 100 {
		return humanize.Comma(int64(v + 0.5))
	}
	return fmt.Sprintf("%.2f", v)
}

// noRatio stands for a ratio to something that was too short to be measured.
const noRatio = "–"

// times returns a ratio as text.
func times(ratio float64) string {
	if math.IsNaN(ratio) || math.IsInf(ratio, 0) {
		return noRatio
	}
	return figure(ratio) + "×"
}

// storeRows describes what the ways of Laneway did with the object store, by the medians of
// the rounds; empty if that is not known.
func (r *Report) storeRows() [][]string {
	var rows [][]string
	for i := range r.Contenders {
		c := &r.Contenders[i]
		var puts, reads, stored []float64
		for j := range c.Rounds {
			round := &c.Rounds[j]
			if round.Store == nil || round.Bytes == 0 {
				continue
			}
			gib := float64(round.Bytes) / (1 << 30)
			puts = append(puts, float64(round.Store.Puts)/gib)
			reads = append(reads, float64(round.Store.Reads)/gib)
			stored = append(stored, float64(round.Store.Bytes)/float64(round.Bytes))
		}
		if len(puts) > 0 {
			rows = append(rows, []string{
				c.Name, fmt.Sprintf("%.0f", median(puts)), fmt.Sprintf("%.0f", median(reads)), fmt.Sprintf("%.2f×", median(stored)),
			})
		}
	}
	return rows
}
