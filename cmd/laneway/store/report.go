package store

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/archive"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/storecheck"
)

// describe returns the report as text for people. What is wrong begins with an
// exclamation mark.
func describe(r *storecheck.Report) string {
	var text strings.Builder
	describeStore(&text, &r.Store)
	for _, o := range r.Damaged {
		describeObject(&text, o, r.Logs != nil)
	}
	if r.MoreDamaged > 0 {
		write(&text, "  ! and %s more\n", cli.Count(r.MoreDamaged, "damaged object"))
	}
	for _, o := range r.Unfinished {
		write(&text, "  unfinished upload, to which no log refers: %s, %s, staged %s\n", o.Key, cli.Count(o.Size, "byte"), o.Staged.Format(time.RFC3339))
	}
	if r.Logs == nil {
		write(&text, "\nthe logs were not read: give --nats\n")
	} else {
		describeLogs(&text, r.Logs)
	}
	if !r.Wrong() {
		write(&text, "\nnothing is damaged\n")
	}
	return text.String()
}

// write adds to a text, which cannot fail.
func write(text *strings.Builder, format string, arguments ...any) {
	_, _ = fmt.Fprintf(text, format, arguments...)
}

func bytes(n int64) string { return humanize.IBytes(uint64(n)) }

func describeStore(text *strings.Builder, s *storecheck.Store) {
	write(text, "object store %s\n", s.Place)
	if s.Marker != "" {
		write(text, "  ! %s\n", s.Marker)
	} else {
		write(text, "  store %s of cluster %s\n", s.ID, s.Cluster)
	}
	write(text, "  %s, %s; whole are %s with %s\n", cli.Count(s.Objects, "object"), bytes(s.Bytes), cli.Count(s.Batches, "batch"), cli.Count(s.Records, "record"))
	if s.Segments.Objects > 0 {
		write(text, "  %s, %s; whole are %s with %s\n", cli.Count(s.Segments.Objects, "segment"), bytes(s.Segments.Bytes),
			cli.Count(s.Segments.Batches, "batch"), cli.Count(s.Segments.Records, "record"))
	}
	if s.Manifests.Objects > 0 {
		write(text, "  %s, %s\n", cli.Count(s.Manifests.Objects, "manifest"), bytes(s.Manifests.Bytes))
	}
	for _, err := range s.Errors {
		write(text, "  ! %s\n", err)
	}
}

// damages describe the kinds of damage.
var damages = map[objectstore.Damage]string{
	objectstore.Torn:        "torn",
	objectstore.Foreign:     "another file",
	objectstore.Header:      "damaged header",
	objectstore.Index:       "damaged index",
	objectstore.Head:        "damaged head of a batch",
	objectstore.Payload:     "damaged payload",
	archive.DamagedFooter:   "damaged footer of a segment",
	archive.DamagedPage:     "damaged page of a segment",
	archive.DamagedManifest: "damaged manifest",
	storecheck.Missing:      "missing",
	storecheck.Unreadable:   "cannot be read",
}

func describeObject(text *strings.Builder, o *storecheck.Object, compared bool) {
	size := ""
	if o.Size > 0 || o.Damage == objectstore.Torn {
		size = ", " + cli.Count(o.Size, "byte")
	}
	write(text, "  ! %s%s, staged %s: %s\n", o.Key, size, o.Staged.Format(time.RFC3339), damages[o.Damage])
	if o.Damage != storecheck.Missing {
		write(text, "      %s\n", o.Reason)
	}
	for _, a := range o.Affects {
		lost := ""
		if a.Offsets != nil {
			lost = ", " + a.String()
		}
		batches := ""
		if a.Batches > 0 {
			batches = cli.Count(a.Batches, "batch") + ", "
		}
		write(text, "      cannot be read: %s/%d%s (%s%s)\n", a.Topic, a.Partition, lost, batches, cli.Count(a.Records, "record"))
	}
	switch {
	case len(o.Affects) > 0:
	case o.Referenced:
		write(text, "      its records can be read; the damaged part is for repairs only\n")
	case compared:
		write(text, "      no log refers to it\n")
	default:
		write(text, "      which records it has is not known\n")
	}
}

func describeLogs(text *strings.Builder, l *storecheck.Logs) {
	write(text, "\nlogs of %s, %s: %s refer to %s with %s\n", cli.Count(l.Topics, "topic"), cli.Count(l.Partitions, "partition"),
		cli.Count(l.Entries, "entry"), cli.Count(l.Batches, "batch"), cli.Count(l.Records, "record"))
	if a := l.Archived; a.Objects > 0 {
		write(text, "  archived: %s, %s, which have %s with %s\n", cli.Count(a.Objects, "segment"), bytes(a.Bytes), cli.Count(a.Batches, "batch"), cli.Count(a.Records, "record"))
	}
	if l.GivenUpRecords > 0 {
		write(text, "  given up: %s could not be read when they were archived\n", cli.Count(l.GivenUpRecords, "record"))
	}
	for _, problem := range l.Problems {
		write(text, "  ! %s\n", problem)
	}
	for _, lost := range l.Lost {
		var ranges []string
		for _, o := range lost.Offsets {
			ranges = append(ranges, o.String())
		}
		write(text, "  ! %s/%d: %s with %s cannot be read: %s\n", lost.Topic, lost.Partition,
			cli.Count(lost.Batches, "batch"), cli.Count(lost.Records, "record"), strings.Join(ranges, ", "))
	}
	write(text, "  waiting: %s, %s, that no log needs, so that sweeps delete them", cli.Count(l.Waiting.Objects, "object"), bytes(l.Waiting.Bytes))
	if n := l.WaitingArchived; n.Objects > 0 {
		write(text, "; of these, with batches that are archived: %s, %s", cli.Count(n.Objects, "object"), bytes(n.Bytes))
	}
	write(text, "\n")
}
