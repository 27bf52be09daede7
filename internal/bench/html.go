package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"

	"github.com/dustin/go-humanize"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// WriteHTML writes the report as a page that needs nothing from elsewhere.
func (r *Report) WriteHTML(out io.Writer) error {
	data := map[string]any{
		"Report": r, "Summary": r.summary(), "Values": r.plotValues(), "Rows": r.rows(), "Percentiles": r.percentiles(),
		"Value": r.value(), "Verb": r.verb(), "Reading": r.reading(),
	}
	if len(r.Ratios) > 0 {
		data["Ratios"] = r.plotRatios()
	}
	return page.Execute(out, data)
}

// rows are those of the table of figures, in the order of the contenders.
func (r *Report) rows() [][]string {
	var rows [][]string
	for i := range r.Contenders {
		c := &r.Contenders[i]
		row := []string{c.Name, figure(c.Median), figure(c.Min), figure(c.Max)}
		if i > 0 {
			ratio := r.Ratios[i-1]
			row = append(row, times(ratio.Ratio), times(ratio.Min)+" to "+times(ratio.Max), ratio.remark())
		} else if len(r.Ratios) > 0 {
			row = append(row, "", "", "")
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
