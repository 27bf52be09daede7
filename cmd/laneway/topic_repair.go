package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/schollz/progressbar/v3"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/repair"
	"laneway.dev/internal/storeid"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/protocol"
)

type topicRepair struct {
	topicName
	cli.ServerFlag
	Partition int               `default:"-1" placeholder:"N" help:"Only this partition; by default all."`
	Store     cli.StoreLocation `placeholder:"URL" help:"The object store of the stagers, file:///absolute/path or a path: it is searched for batches that no log refers to. Without it only logs and snapshots are looked at."`
	Export    string            `placeholder:"FILE" help:"Write those batches to a new file, a JSON object a line; - is standard output. It needs --store."`
	Accept    bool              `name:"accept-loss" help:"Continue the log of each damaged partition without what is missing, for good."`
	JSON      bool              `name:"json" help:"Print the report as a JSON object."`
}

// Help implements kong.HelpProvider.
func (*topicRepair) Help() string {
	return `Shows what the log of each partition has lost, and changes nothing unless --accept-loss is given. It compares the log with its newest snapshot, with
its mark, which bounds how far it may have come, and, with --store, with the objects: an object tells of each batch which topic, partition, lane and ticket it belongs to. It needs
full rights to NATS and to the store, as services have them, and works while they run or not; NATS must run.

--export writes each batch that no log entry refers to as a line of JSON: topic, topic_id, partition, frontend_epoch, lane,
ticket, key, offset, length, crc32c, producer, message_id, and its records with headers and value, or value_base64 if that
is not UTF-8. Each lane is in the order of its tickets, which is the order in which its producer sent. Copies of batches
that the log has, repetitions with the same payload, and batches that the log knows to be refused are left out.

Not every such batch was acknowledged: an object is written before its batch is accepted. It may have been refused, or
be on its way right now. Compare with what producers know before you send it again; docs/repair.md says how.

--accept-loss gives up what is missing: each damaged partition continues in a new stream, with all entries that can be
read, behind every offset that may have been given out. Consumers are told of the gap. Export first: accepting
a loss cannot be undone. The old stream stays, sealed. If only the topic's record is older than its log, because it was
restored from an old copy, the record is corrected, and nothing of the partition is given up.

Examples:

    laneway topic repair orders

    laneway topic repair orders --store /var/lib/laneway/objects --export lost.jsonl`
}

// Validate implements kong's check of a command.
func (c *topicRepair) Validate() error {
	switch {
	case c.Export != "" && c.Store == "":
		return errors.New("--export needs --store: the batches are in the object store")
	case c.Partition < cli.AllPartitions:
		return fmt.Errorf("--partition is %d, it is a partition from 0 on", c.Partition)
	case c.Export == "-" && c.JSON:
		return errors.New("--export - and --json would mix on standard output")
	}
	return nil
}

// Run looks at the topic, and exports what its logs have lost.
func (c *topicRepair) Run(a *cli.App) error {
	store, err := c.open()
	if err != nil {
		return err
	}
	if store != nil {
		defer func() { _ = store.Close() }()
	}
	laneway, err := c.Connect()
	if err != nil {
		return err
	}
	defer laneway.Close()
	js, err := jetstream.New(laneway.Conn())
	if err != nil {
		return err
	}
	topic, lost, err := c.lookUp(a.Ctx, laneway.Conn(), js)
	if err != nil {
		return err
	}
	numbers, err := c.which(topic)
	if err != nil {
		return err
	}
	screen := newSearch(a)
	inspector := repair.Inspector{Conn: laneway.Conn(), JS: js, Store: store, Progress: screen.show}
	survey, err := inspector.Inspect(a.Ctx, topic, numbers)
	screen.close()
	if err != nil {
		return err
	}
	survey.Report.Record = lost
	if store != nil {
		if survey.Report.Store.NotShared, err = c.compare(a.Ctx, js, store); err != nil {
			return err
		}
	}
	var accept error
	if c.Accept && c.JSON {
		accept = c.exportAndAccept(a, &inspector, survey) // a single object has all of it
	}
	if err := c.print(a, &survey.Report); err != nil && !errors.Is(err, syscall.EPIPE) {
		return errors.Join(accept, err)
	}
	if !c.Accept || !c.JSON {
		accept = c.exportAndAccept(a, &inspector, survey)
	}
	return accept
}

// open opens the store, which must be there: an empty one has nothing to tell.
func (c *topicRepair) open() (objectstore.Store, error) {
	if c.Store == "" {
		return nil, nil
	}
	return objectstore.OpenExisting(string(c.Store))
}

// compare returns how the store differs from that of the services. It is searched all
// the same: what is compared may be what was lost.
func (c *topicRepair) compare(ctx context.Context, js jetstream.JetStream, store objectstore.Store) (string, error) {
	at, err := place(string(c.Store))
	if err != nil {
		return "", err
	}
	bounded, cancel := context.WithTimeout(ctx, cli.AdminTimeout)
	defer cancel()
	if err := storeid.Compare(bounded, js, storeid.Candidate{Store: store, Place: at}); err != nil {
		return err.Error(), ctx.Err()
	}
	return "", nil
}

// lookUp returns the topic. If its record is lost, it is what the logs tell, and lost
// says why.
func (c *topicRepair) lookUp(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (topic protocol.Topic, lost string, err error) {
	ctx, cancel := context.WithTimeout(ctx, cli.AdminTimeout)
	defer cancel()
	topic, err = topics.Lookup(ctx, conn, c.Name)
	if err == nil {
		return topic, "", nil
	}
	topic, logsErr := topics.FromLogs(ctx, js, c.Name)
	if logsErr != nil {
		return protocol.Topic{}, "", err
	}
	return topic, err.Error(), nil
}

// which returns the partitions to look at.
func (c *topicRepair) which(topic protocol.Topic) ([]int, error) {
	if c.Partition >= topic.Partitions {
		return nil, protocol.Errorf(protocol.CodeUnknownTopic, "%s has no partition %d", c.Name, c.Partition)
	}
	if c.Partition != cli.AllPartitions {
		return []int{c.Partition}, nil
	}
	numbers := make([]int, topic.Partitions)
	for n := range numbers {
		numbers[n] = n
	}
	return numbers, nil
}

func entries(n int64) string {
	if n == 1 {
		return "1 entry"
	}
	return humanize.Comma(n) + " entries"
}

func batches(n int64) string {
	if n == 1 {
		return "1 batch"
	}
	return humanize.Comma(n) + " batches"
}

func (c *topicRepair) print(a *cli.App, report *repair.Report) error {
	switch {
	case c.JSON:
		return cli.WriteJSON(a.Stdout, report)
	case c.Export == "-":
		return printReport(a.Stderr, report)
	}
	return printReport(a.Stdout, report)
}

// printReport tells a person what was found.
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
	_, _ = fmt.Fprintf(text, "  log %s: %s can be read%s\n", p.Stream, entries(p.Log.Entries), logEnd(&p.Log))
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
	describeLanes(text, p)
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
	// A table in memory cannot fail.
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

// export writes the batches to a file that is there once it is complete.
func (c *topicRepair) export(a *cli.App, survey *repair.Survey) (err error) {
	bar := progressbar.NewOptions64(survey.Batches(),
		progressbar.OptionSetWriter(a.Stderr), progressbar.OptionSetVisibility(cli.IsTerminal(a.Stderr)),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetDescription("exporting"), progressbar.OptionClearOnFinish(),
	)
	var done repair.Written
	write := func(to io.Writer) error {
		done, err = survey.Export(a.Ctx, to, func() { _ = bar.Add(1) })
		return err
	}
	if c.Export == "-" {
		err = write(a.Stdout)
	} else {
		err = writeNew(c.Export, write)
	}
	_ = bar.Clear()
	if err != nil {
		return fmt.Errorf("exporting to %s: %w", c.Export, err)
	}
	_, _ = fmt.Fprintf(a.Stderr, "exported %s with %s, %s, to %s\n",
		batches(done.Batches), cli.Count(done.Records, "record"), humanize.Bytes(uint64(done.Bytes)), c.Export)
	if done.Unreadable > 0 {
		return cli.Advise(
			fmt.Errorf("the payloads of %s cannot be read; their lines say why", batches(done.Unreadable)),
			"restore the objects that are named from a copy, and export again",
		)
	}
	return nil
}

// writeNew writes a file that must not exist, under another name until all of it
// is on disk.
func writeNew(name string, write func(io.Writer) error) (err error) {
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return cli.Misuse("%s exists already, or cannot be looked at: choose another name", name)
	}
	partial := name + ".partial"
	file, err := os.Create(partial)
	if err != nil {
		return cli.Misuse("%w", err)
	}
	err = write(file)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(partial, name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(partial))
	}
	return nil
}

// search shows on a terminal how far the inspection is.
type search struct{ bar *progressbar.ProgressBar }

func newSearch(a *cli.App) *search {
	return &search{progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(a.Stderr), progressbar.OptionSetVisibility(cli.IsTerminal(a.Stderr)),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetElapsedTime(false),
	)}
}

func (s *search) show(p repair.Progress) {
	s.bar.Describe(fmt.Sprintf("read %s of logs and %s", entries(p.Entries), cli.Count(p.Objects, "object")))
	_ = s.bar.Add(1)
}

func (s *search) close() { _ = s.bar.Clear() }
