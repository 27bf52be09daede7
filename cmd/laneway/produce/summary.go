package produce

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/pkg/client"
)

// summary is the report at the end of produce.
type summary struct {
	Topic   string    `json:"topic"`
	Skipped int64     `json:"skipped,omitempty"` // lines that were in the log before
	Lines   int64     `json:"lines"`             // lines that the producer accepted
	Records int64     `json:"records"`           // how many of them, from the first on, are in the log for sure
	Bytes   int64     `json:"bytes"`             // size of all acknowledged records
	Retries int64     `json:"retries,omitempty"`
	Seconds float64   `json:"seconds"`
	Offsets []offsets `json:"offsets"`
	// Unfinished reports whether a last line without a line feed was not sent.
	Unfinished bool   `json:"unfinished_line,omitempty"`
	Error      string `json:"error,omitempty"`

	absent bool // the lines behind those Records are not in the log for sure
}

// offsets is the range of the offsets of the records in a partition. Records of
// other producers may have offsets in between.
type offsets struct {
	Partition int32 `json:"partition"`
	First     int64 `json:"first"`
	Last      int64 `json:"last"`
}

// summarize returns the summary of a producer that has accepted a number of lines.
func summarize(topic string, lines int64, elapsed time.Duration, done client.Summary) *summary {
	s := &summary{
		Topic: topic, Lines: lines, Records: done.FirstUnacked, Bytes: done.AckedBytes, Retries: done.Retries,
		Seconds: elapsed.Seconds(), Offsets: []offsets{},
	}
	for _, r := range done.Offsets {
		s.Offsets = append(s.Offsets, offsets(r))
	}
	return s
}

// print prints the summary to standard error, so its own errors are ignored: there is
// no other place to report them.
func (s *summary) print(w io.Writer) {
	if s.Skipped > 0 {
		_, _ = fmt.Fprintf(w, "in %s already, and not sent again: %s\n", s.Topic, cli.Count(s.Skipped, "line"))
	}
	if s.Skipped > 0 && s.Lines == 0 {
		_, _ = fmt.Fprintln(w, "there was nothing more to send")
		return
	}
	elapsed := time.Duration(s.Seconds * float64(time.Second)).Round(time.Millisecond)
	rate := float64(s.Bytes) / max(s.Seconds, 1e-9)
	_, _ = fmt.Fprintf(w, "%s, %s in %s, %s/s, committed to %s\n", cli.Count(s.Records, "record"),
		humanize.Bytes(uint64(s.Bytes)), elapsed, humanize.Bytes(uint64(rate)), s.Topic)
	if s.Retries > 0 {
		_, _ = fmt.Fprintf(w, "batches were sent again: %s\n", humanize.Comma(s.Retries))
	}
	for _, o := range s.Offsets {
		_, _ = fmt.Fprintf(w, "partition %d: offsets %d to %d\n", o.Partition, o.First, o.Last)
	}
}

func (s *summary) printJSON(w io.Writer) error { return json.NewEncoder(w).Encode(s) }

// certainty says which lines are in the log after an error, so that the user can
// continue without a gap or a duplicate. Lines are counted from the start of the
// input.
func (s *summary) certainty() string {
	lines, sure := s.Skipped+s.Lines, s.Skipped+s.Records
	rest := "may or may not be"
	if s.absent {
		rest = "are not in the log"
	}
	switch {
	case lines == 0:
		return "nothing was sent"
	case s.Lines == 0:
		return fmt.Sprintf("nothing was sent, what was read before, %s, was in the log already", cli.Count(lines, "line"))
	case sure == lines:
		return fmt.Sprintf("what was read, %s, is in the log for sure", cli.Count(lines, "line"))
	case sure == 0 && s.absent:
		return fmt.Sprintf("none of %s is in the log", cli.Count(lines, "line"))
	case sure == 0:
		return fmt.Sprintf("none of %s is in the log for sure, each may or may not be", cli.Count(lines, "line"))
	case sure == lines-1 && s.absent:
		return fmt.Sprintf("of %d lines all but the last one are in the log", lines)
	case sure == lines-1:
		return fmt.Sprintf("of %d lines all but the last one are in the log for sure, that may or may not be", lines)
	}
	return fmt.Sprintf("of %d lines the first %d are in the log for sure, lines %d to %d %s",
		lines, sure, sure+1, lines, rest)
}

// report prints the summary. To an error it adds which lines are in the log.
func (c *Command) report(a *cli.App, s *summary, err error) error {
	if err != nil {
		s.Error = err.Error()
	}
	if s.Unfinished {
		_, _ = fmt.Fprintln(a.Stderr, "laneway: the last line has no line feed yet, and is not sent")
	}
	if c.JSON {
		if jsonErr := s.printJSON(a.Stdout); jsonErr != nil {
			err = errors.Join(err, jsonErr)
		}
	} else if !c.Quiet && (err == nil || s.Records > 0) {
		s.print(a.Stderr)
	}
	if err == nil {
		return nil
	}
	if failed, ok := errors.AsType[*client.ProduceError](err); ok {
		err = failed.Err // without the numbers of records, because those of lines follow
		// If fewer records failed than follow the first failure, some of the lines behind
		// it are in the log.
		s.absent = failed.Absent && failed.FirstFailed+failed.Records == s.Lines
	} else if a.Stopped(err) {
		err = errors.New("interrupted")
	}
	return fmt.Errorf("%w; %s", err, s.certainty())
}
