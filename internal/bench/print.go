package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Print writes the report for people.
func (r *Report) Print(out io.Writer) error {
	text := &strings.Builder{}
	_, _ = fmt.Fprintf(text, "%s\n\n", r.summary())
	table := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0)
	heading := []string{r.value(), "MEDIAN", "LOWEST", "HIGHEST"}
	if len(r.Ratios) > 0 {
		heading = append(heading, "LANEWAY "+strings.ToUpper(r.verb()), "IN A ROUND", "")
	}
	_, _ = fmt.Fprintln(table, strings.Join(heading, "\t"))
	for _, row := range r.rows() {
		_, _ = fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	if rows := r.percentiles(); len(rows) > 0 {
		_, _ = fmt.Fprintf(table, "\nms\tp50\tp90\tp99\tp99.9\tLONGEST\n")
		for _, row := range rows {
			_, _ = fmt.Fprintln(table, strings.Join(row, "\t"))
		}
	}
	_ = table.Flush() // a builder takes everything
	_, _ = fmt.Fprintf(text, "\n%s\n", r.reading())
	for _, note := range r.Notes {
		_, _ = fmt.Fprintf(text, "\nNote: %s\n", note)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// remark says what the other is the best of.
func (r *Ratio) remark() string {
	switch {
	case r.Best:
		return "JetStream's best"
	case r.BestOfSync:
		return "its best of this sync"
	}
	return ""
}
