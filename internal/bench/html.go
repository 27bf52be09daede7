package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// WriteHTML writes the report as a page that needs nothing from elsewhere.
func (r *Report) WriteHTML(out io.Writer) error {
	data := map[string]any{
		"Report": r, "Summary": r.summary(), "Values": r.plotValues(), "Rows": r.rows(), "Percentiles": r.percentiles(),
	}
	if len(r.Ratios) > 0 {
		data["Ratios"] = r.plotRatios()
	}
	return page.Execute(out, data)
}

// summary says in a sentence what was measured.
func (r *Report) summary() string {
	w := &r.Work
	parts := []string{fmt.Sprintf("%d rounds", w.Rounds), "records of " + humanize.IBytes(uint64(w.RecordBytes))}
	if w.BatchBytes > 0 {
		parts = append(parts, "batches of "+humanize.IBytes(uint64(w.BatchBytes)))
	}
	if w.Producers > 0 {
		parts = append(parts, fmt.Sprintf("%d producers with %d in flight", w.Producers, w.InFlight))
	}
	if w.RecordsPerSecond > 0 {
		parts = append(parts, fmt.Sprintf("%d records a second", w.RecordsPerSecond))
	}
	if w.Cluster > 1 {
		parts = append(parts, fmt.Sprintf("%d NATS servers and replicas", w.Cluster))
	}
	return fmt.Sprintf("%s, %s/%s with %d CPUs: %s. Laneway answers when everything is on disk (sync always).",
		r.Started.Format(time.RFC3339), r.Machine.System, r.Machine.Architecture, r.Machine.CPUs, strings.Join(parts, ", "))
}

// rows are those of the table of figures, in the order of the contenders.
func (r *Report) rows() [][]string {
	var rows [][]string
	for i := range r.Contenders {
		c := &r.Contenders[i]
		row := []string{c.Name, figure(c.Median), figure(c.Min), figure(c.Max)}
		if i > 0 {
			ratio := r.Ratios[i-1]
			row = append(row, times(ratio.Ratio), times(ratio.Min)+" to "+times(ratio.Max))
		} else if len(r.Ratios) > 0 {
			row = append(row, "", "")
		}
		rows = append(rows, row)
	}
	return rows
}

// percentiles are the rows of their table; none unless latency was measured.
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

// percentiles returns the median of each percentile, and the longest of all.
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

// figure prints a value with a reasonable number of digits.
func figure(v float64) string {
	if v == 0 || v >= 100 {
		return humanize.Comma(int64(v + 0.5))
	}
	return fmt.Sprintf("%.2f", v)
}

// times prints a ratio.
func times(ratio float64) string { return figure(ratio) + "×" }
