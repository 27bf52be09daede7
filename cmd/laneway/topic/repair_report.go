package topic

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/repair"
)

func (c *Repair) print(a *cli.App, report *repair.Report) error {
	switch {
	case c.JSON:
		return cli.WriteJSON(a.Stdout, report)
	case c.Export == "-":
		return printReport(a.Stderr, report)
	}
	return printReport(a.Stdout, report)
}

// printReport prints the report as text.
func printReport(out io.Writer, report *repair.Report) error {
	var text strings.Builder
	if report.Record == "" {
		_, _ = fmt.Fprintf(&text, "topic %s, id %d, created %s\n", report.Topic.Name, report.Topic.ID, report.Topic.Created.Format(time.RFC3339))
	} else {
		_, _ = fmt.Fprintf(&text, "topic %s, id %d: DAMAGED\n  ! the topic's record cannot be read, this is what its logs tell: %s\n",
			report.Topic.Name, report.Topic.ID, report.Record)
	}
	for i := range report.Partitions {
		describePartition(&text, &report.Partitions[i])
	}
	if report.Store == nil {
		_, _ = fmt.Fprintln(&text, "\nthe object store was not searched: give --store")
	} else {
		describeStore(&text, report.Store)
	}
	return cli.Say(out, "%s", text.String())
}

func describePartition(text *strings.Builder, p *repair.Partition) {
	state := "nothing is missing"
	if len(p.Findings) > 0 {
		state = "DAMAGED"
	}
	_, _ = fmt.Fprintf(text, "\npartition %d: %s\n", p.Partition, state)
	for _, finding := range p.Findings {
		_, _ = fmt.Fprintf(text, "  ! %s\n", finding)
	}
	for _, o := range p.Unknown {
		_, _ = fmt.Fprintf(text, "  ! %s: given out, or may have been, and not in the log\n", o)
	}
	_, _ = fmt.Fprintf(text, "  log %s: %s can be read%s\n", p.LogName, cli.Count(p.Log.Entries, "entry"), logEnd(&p.Log))
	if h := p.History; h != nil {
		found := ""
		if h.Found {
			found = ", which was found in the object store"
		}
		_, _ = fmt.Fprintf(text, "  archived: up to sequence %d, offsets %d to %d, as listed by %s%s\n", h.EndSequence, h.StartOffset, h.EndOffset-1, h.Manifest, found)
	}
	if s := p.Snapshot; s != nil {
		_, _ = fmt.Fprintf(text, "  newest snapshot: up to sequence %d, next offset %d, of %s\n", s.Sequence, s.EndOffset, s.Time.Format(time.RFC3339))
	}
	if m := p.Mark; m != nil {
		_, _ = fmt.Fprintf(text, "  mark: written up to sequence %d, next offset %d; reserved up to sequence %d, offset %d\n",
			m.Written.Sequence, m.Written.Offset, m.Reserved.Sequence, m.Reserved.Offset)
	}
	for _, o := range p.Log.Gaps {
		_, _ = fmt.Fprintf(text, "  gap that the log records: %s\n", o)
	}
	if p.NewestObject != nil {
		_, _ = fmt.Fprintf(text, "  newest batch in the object store: staged %s\n", p.NewestObject.Format(time.RFC3339))
	}
	describePlan(text, p)
	describeLanes(text, p)
}

// describePlan says what --accept-loss does.
func describePlan(text *strings.Builder, p *repair.Partition) {
	if p.PlanError != "" {
		_, _ = fmt.Fprintf(text, "  --accept-loss is refused: %s\n", p.PlanError)
	}
	if p.Plan == nil {
		return
	}
	_, _ = fmt.Fprintf(text, "  --accept-loss continues it at offset %d, with %s of the log; %s\n", p.Plan.NextOffset, cli.Count(p.Plan.Copied, "entry"), describeGivenUp(p.Plan))
	for line := range strings.Lines(describeKept(p.Plan)) {
		_, _ = fmt.Fprintf(text, "  %s", line)
	}
}

func logEnd(l *repair.Log) string {
	if l.EndTime == nil {
		return ""
	}
	return fmt.Sprintf(", the last one %d of %s, next offset %d", l.EndSequence, l.EndTime.Format(time.RFC3339), l.EndOffset)
}

func describeLanes(text *strings.Builder, p *repair.Partition) {
	if p.Copies > 0 {
		_, _ = fmt.Fprintf(text, "  copies of batches, staged or sent twice: %d\n", p.Copies)
	}
	if p.Refused > 0 {
		_, _ = fmt.Fprintf(text, "  batches that were refused: %d\n", p.Refused)
	}
	if len(p.Lanes) == 0 {
		return
	}
	_, _ = fmt.Fprintln(text, "  batches in the object store that the log does not refer to:")
	// Writes to memory cannot fail.
	table := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "    LANE\tFRONTEND EPOCH\tTICKETS\tBATCHES\tRECORDS\tSIZE\tSTAGED")
	for i := range p.Lanes {
		l := &p.Lanes[i]
		_, _ = fmt.Fprintf(table, "    %s\t%d\t%d to %d\t%d\t%d\t%s\t%s to %s\n", cli.Printable(l.Lane), l.FrontendEpoch, l.FirstTicket, l.LastTicket,
			l.Batches, l.Records, humanize.IBytes(uint64(l.Bytes)), l.FirstStaged.UTC().Format(time.RFC3339), l.LastStaged.UTC().Format(time.RFC3339))
	}
	_ = table.Flush()
}

func describeStore(text *strings.Builder, s *repair.Store) {
	_, _ = fmt.Fprintf(text, "\nobject store: %s, %s\n", cli.Count(s.Objects, "object"), humanize.IBytes(uint64(s.Bytes)))
	if s.NotShared != "" {
		_, _ = fmt.Fprintf(text, "  ! %s\n", s.NotShared)
	}
	for _, d := range s.Damaged {
		_, _ = fmt.Fprintf(text, "  ! object %s of %d bytes cannot be read: %s\n", d.Key, d.Size, d.Reason)
	}
	if s.MoreDamaged > 0 {
		_, _ = fmt.Fprintf(text, "  ! and %d more\n", s.MoreDamaged)
	}
}
