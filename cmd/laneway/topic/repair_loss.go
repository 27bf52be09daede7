package topic

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/repair"
)

// exportAndAccept exports what the logs have lost and then accepts the loss, each if the
// flags say so. If the export fails, the loss is not accepted, because that cannot be
// undone.
func (c *Repair) exportAndAccept(a *cli.App, inspector *repair.Inspector, survey *repair.Survey) error {
	if store := survey.Report.Store; c.Accept && store != nil && store.NotShared != "" {
		return cli.Advise(
			errors.New("the loss is not accepted, because the store that was searched may not be that of the services: "+store.NotShared),
			"give the right store",
		)
	}
	if c.Export != "" {
		if err := c.export(a, survey); err != nil {
			return err
		}
	}
	if c.Accept {
		return c.accept(a, inspector, &survey.Report)
	}
	return nil
}

// accept continues the damaged partitions. After an error, those that were continued
// before it stay so.
func (c *Repair) accept(a *cli.App, inspector *repair.Inspector, report *repair.Report) error {
	if report.Record != "" {
		return cli.Advise(
			errors.New("the loss cannot be accepted: the topic's record cannot be read, and it names the logs"),
			"restore the bucket LANEWAY_TOPICS from a copy first",
		)
	}
	if !report.Damage() {
		return cli.Misuse("nothing is missing: there is no loss to accept")
	}
	for i := range report.Partitions {
		if p := &report.Partitions[i]; p.Silent != nil {
			return cli.Advise(
				fmt.Errorf("the loss is not accepted, because it is not known whether partition %d has lost anything: %w", p.Partition, p.Silent),
				"check that NATS is whole and that these credentials may read its buckets, and give the command again",
			)
		}
	}
	// Nothing is changed as long as anything may be refused.
	for i := range report.Partitions {
		if p := &report.Partitions[i]; p.PlanError != "" {
			return cli.Advise(
				fmt.Errorf("the loss is not accepted, because partition %d cannot be continued: %s", p.Partition, p.PlanError),
				"nothing was changed; remove the cause, or continue the other damaged partitions with --partition",
			)
		}
	}
	for i := range report.Partitions {
		p := &report.Partitions[i]
		if len(p.Findings) == 0 {
			continue
		}
		accepted, err := inspector.Accept(a.Ctx, report.Topic, int(p.Partition))
		if err != nil {
			return cli.Advise(fmt.Errorf("continuing partition %d: %w", p.Partition, err), lookAgain(c.Name, err))
		}
		report.Continued = append(report.Continued, *accepted)
		if !c.JSON {
			_, _ = fmt.Fprint(a.Stderr, describeAccepted(accepted))
		}
	}
	return nil
}

// lookAgain says what to do after an attempt to continue a partition has failed.
func lookAgain(topic string, err error) string {
	if errors.Is(err, repair.ErrNeedsStore) {
		return "give it with --store; nothing was given up"
	}
	if _, refused := errors.AsType[*repair.RefusedError](err); refused {
		return "nothing was changed; remove the cause before you repeat the command"
	}
	look := "look again, and repeat the command if it is still damaged: laneway topic repair " + topic
	if errors.Is(err, repair.ErrOutcomeUnknown) {
		return look
	}
	return "nothing of it was given up; " + look
}

func describeAccepted(p *repair.Accepted) string {
	if p.RecordCorrected {
		return fmt.Sprintf("partition %d: the topic's record names the log %s again, as which it was continued before; nothing is given up\n", p.Partition, p.LogName)
	}
	return fmt.Sprintf("partition %d continues at offset %d as log %s, with %s of the old one; %s\n%s",
		p.Partition, p.NextOffset, p.LogName, cli.Count(p.Copied, "entry"), describeGivenUp(&p.Plan), describeKept(&p.Plan))
}

// describeGivenUp says what a continued log lacks.
func describeGivenUp(p *repair.Plan) string {
	given := "no offsets are given up"
	if len(p.GivenUp) > 0 {
		given = "given up: " + ranges(p.GivenUp)
	}
	if p.StateLost {
		given += "; which batches producers had sent before is not known any more, so one that is sent again may be appended twice"
	}
	return given
}

// describeKept says which history a log continues with if it names another one, and which records of
// the log are left out for it; a line each.
func describeKept(p *repair.Plan) string {
	var text strings.Builder
	h := p.Replacement
	switch {
	case p.LostManifest == "" && h == nil:
	case p.LostManifest == "":
		_, _ = fmt.Fprintf(&text, "  history: offsets %d to %d, as listed by %s, which was found in the object store\n", h.StartOffset, h.EndOffset-1, h.Manifest)
	case h == nil:
		_, _ = fmt.Fprintf(&text, "  history: none, because %s cannot be read, and the object store has no other manifest of the partition: %s\n", p.LostManifest, p.LostReason)
	default:
		_, _ = fmt.Fprintf(&text, "  history: offsets %d to %d, as listed by %s, because %s cannot be read: %s\n", h.StartOffset, h.EndOffset-1, h.Manifest, p.LostManifest, p.LostReason)
	}
	if p.Restored != nil {
		_, _ = fmt.Fprintf(&text, "  readable again: %s, which retention or a truncation has dropped\n", p.Restored)
	}
	if len(p.Unreadable) > 0 {
		_, _ = fmt.Fprintf(&text, "  unreadable: %s, whose objects are not in the object store; fetches get CORRUPT there\n", ranges(p.Unreadable))
	}
	if p.DroppedRecords > 0 {
		_, _ = fmt.Fprintf(&text, "  left out: %s of the log, %s, because the history has other records there; --export writes them\n",
			cli.Count(p.DroppedRecords, "record"), ranges(p.Dropped))
	}
	return text.String()
}

func ranges(all []repair.Offsets) string {
	var words []string
	for _, o := range all {
		words = append(words, o.String())
	}
	return strings.Join(words, ", ")
}

// export writes the batches that no log entry refers to.
func (c *Repair) export(a *cli.App, survey *repair.Survey) (err error) {
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
		cli.Count(done.Batches, "batch"), cli.Count(done.Records, "record"), humanize.Bytes(uint64(done.Bytes)), c.Export)
	if done.Unreadable > 0 {
		return cli.Advise(
			fmt.Errorf("the payloads of %s cannot be read; their lines say why", cli.Count(done.Unreadable, "batch")),
			"restore the objects that are named from a copy, and export again",
		)
	}
	return nil
}

// writeNew writes a file that must not exist. The file has another name until all of it
// is on disk, so that no incomplete export is taken for a complete one.
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
