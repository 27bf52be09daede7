package repair

import (
	"fmt"
	"strings"
	"testing"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
)

// logged is an entry with so many records in front of a gap.
func logged(sequence uint64, base, gap int64, records uint32) messages.LoggedEntry {
	e := messages.LoggedEntry{Sequence: sequence, Entry: messages.Entry{BaseOffset: base, Gap: gap, Created: sequence == 1}}
	if records > 0 {
		e.Entry.Batches = []messages.Placeholder{{Batch: messages.Batch{Records: records}}}
	}
	return e
}

// archived is a history up to an entry and an offset.
func archived(sequence uint64, offset int64) messages.History {
	return messages.History{Manifest: "m", End: messages.Position{Sequence: sequence, Offset: offset}}
}

// named is an entry without records that names a history.
func named(sequence uint64, base int64, h messages.History) messages.LoggedEntry {
	e := logged(sequence, base, 0, 0)
	e.Entry.History = h
	return e
}

func TestWhatALogLacksIsFound(t *testing.T) {
	first, second, third := logged(1, 0, 0, 0), logged(2, 0, 0, 10), logged(3, 10, 0, 5)
	bounds := func(last uint64) *partitionlog.Bounds { return &partitionlog.Bounds{First: 1, Last: last} }
	position := func(sequence uint64, offset int64) messages.Position {
		return messages.Position{Sequence: sequence, Offset: offset}
	}
	for name, c := range map[string]struct {
		parts    []any // entries, and what is missing between them
		bounds   *partitionlog.Bounds
		snapshot *Snapshot
		mark     *messages.Mark
		archived messages.History // found in the store
		findings []string         // a part of each
		unknown  string
	}{
		"nothing": {parts: []any{first, second, third}, bounds: bounds(3)},
		"a gap that is recorded": {
			parts: []any{first, second, logged(3, 30, 20, 5)}, bounds: bounds(3),
		},
		"a snapshot and a mark that the log covers": {
			parts: []any{first, second, third}, bounds: bounds(3), snapshot: &Snapshot{Sequence: 3, EndOffset: 15},
			mark: &messages.Mark{Written: position(3, 15), Reserved: position(100, 1000)},
		},
		"a hole": {
			parts: []any{first, partitionlog.Missing{First: 2, Last: 2, Reason: "gone"}, third}, bounds: bounds(3),
			findings: []string{"sequence 2, offsets 0 to 9: gone"}, unknown: "offsets 0 to 9",
		},
		"a hole without offsets": {
			parts: []any{first, partitionlog.Missing{First: 2, Last: 3, Reason: "gone"}, logged(4, 0, 0, 1)}, bounds: bounds(4),
			findings: []string{"sequences 2 to 3, no offsets"},
		},
		"a hole at the end": {
			parts: []any{first, second, partitionlog.Missing{First: 3, Last: 3, Reason: "gone"}}, bounds: bounds(3),
			findings: []string{"sequence 3, offsets from 10 on"}, unknown: "offsets from 10 on",
		},
		"a hole at the end, and a snapshot": {
			parts: []any{first, second, partitionlog.Missing{First: 3, Last: 3, Reason: "gone"}}, bounds: bounds(3), snapshot: &Snapshot{Sequence: 3, EndOffset: 15},
			findings: []string{"sequence 3", "the snapshot of"}, unknown: "offsets 10 to 14",
		},
		"the beginning is missing": {
			parts: []any{partitionlog.Missing{First: 1, Last: 2, Reason: "gone"}, third}, bounds: bounds(3),
			findings: []string{"sequences 1 to 2, offsets 0 to 9"}, unknown: "offsets 0 to 9",
		},
		"it does not begin with its creation": {
			parts: []any{logged(2, 0, 0, 1)}, bounds: bounds(2), findings: []string{"first entry of a created log"},
		},
		"no stream": {findings: []string{"does not exist"}},
		"no stream, and a mark": {
			mark:     &messages.Mark{Written: position(3, 15), Reserved: position(100, 1000)},
			findings: []string{"does not exist", "the mark says"}, unknown: "offsets 0 to 999",
		},
		"an empty stream": {bounds: bounds(0), findings: []string{"is empty"}},
		"a tail that is cut": {
			parts: []any{first, second}, bounds: bounds(2), snapshot: &Snapshot{Sequence: 3, EndOffset: 15},
			mark:     &messages.Mark{Written: position(4, 20), Reserved: position(4, 20)},
			findings: []string{"the snapshot of", "the mark says that it was written up to sequence 4 and offset 20"}, unknown: "offsets 10 to 19",
		},
		"a tail without records that is cut": {
			parts: []any{first, second}, bounds: bounds(2), mark: &messages.Mark{Written: position(3, 10), Reserved: position(3, 10)},
			findings: []string{"the mark says"},
		},
		"an end within what was reserved": {
			parts: []any{first, second}, bounds: bounds(2), mark: &messages.Mark{Written: position(2, 10), Reserved: position(100, 1000)},
		},
		"offsets that jump": {
			parts: []any{first, second, logged(3, 20, 5, 1)}, bounds: bounds(3), findings: []string{"entry 3 begins at offset 15, but the one before it ends at 10"}, unknown: "offsets 10 to 14",
		},
		"a hole between the history and the snapshot": {
			parts:  []any{partitionlog.Missing{First: 1, Last: 3, Reason: "gone"}, named(4, 20, archived(2, 10))},
			bounds: bounds(4), snapshot: &Snapshot{Sequence: 4, EndOffset: 20},
			findings: []string{"sequence 3, offsets 10 to 19: gone"}, unknown: "offsets 10 to 19",
		},
		"a hole between the snapshot and the end of the history": {
			parts: []any{
				partitionlog.Missing{First: 1, Last: 1, Reason: "gone"}, second, partitionlog.Missing{First: 3, Last: 3, Reason: "gone"}, named(4, 20, archived(3, 20)),
			},
			bounds: bounds(4), snapshot: &Snapshot{Sequence: 2, EndOffset: 10},
			findings: []string{"sequence 3, offsets 10 to 19: gone; its records are archived"},
		},
		"a hole in the history of a log that was not purged and has no snapshot": {
			parts: []any{first, partitionlog.Missing{First: 2, Last: 2, Reason: "gone"}, named(3, 10, archived(2, 10))}, bounds: bounds(3),
			findings: []string{"its records are archived"},
		},
		"a purged beginning": {
			parts:  []any{partitionlog.Missing{First: 1, Last: 2, Reason: "gone"}, named(3, 10, archived(2, 10))},
			bounds: bounds(3), snapshot: &Snapshot{Sequence: 3, EndOffset: 10},
		},
		"a purged beginning, and no snapshot": {
			parts: []any{partitionlog.Missing{First: 1, Last: 2, Reason: "gone"}, named(3, 10, archived(2, 10))}, bounds: bounds(3),
			findings: []string{"none of its snapshots can be read"},
		},
		"an end that is archived": {
			parts: []any{first, partitionlog.Missing{First: 2, Last: 3, Reason: "gone"}}, bounds: bounds(3), archived: archived(3, 15),
			mark:     &messages.Mark{Written: position(3, 15), Reserved: position(100, 1000)},
			findings: []string{"its records are archived"},
		},
		"no stream, and a history": {archived: archived(3, 15), findings: []string{"does not exist"}},
		"no stream, and a history before the mark": {
			archived: archived(3, 15), mark: &messages.Mark{Written: position(4, 20), Reserved: position(100, 1000)},
			findings: []string{"does not exist", "the log can be read up to sequence 3 and offset 15, the mark says"}, unknown: "offsets 15 to 999",
		},
		"offsets that come twice": {
			parts: []any{first, second, logged(3, 9, 0, 1)}, bounds: bounds(3), findings: []string{"used twice"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var r logScan
			for _, part := range c.parts {
				switch part := part.(type) {
				case messages.LoggedEntry:
					r.entry(&part)
				case partitionlog.Missing:
					if err := r.missing(part); err != nil {
						t.Fatal(err)
					}
				}
			}
			p := Partition{LogName: "S", Snapshot: c.snapshot, Mark: c.mark}
			covered := uint64(0)
			if c.snapshot != nil {
				covered = c.snapshot.Sequence
			}
			r.finish(&p, c.bounds, newer(r.history, c.archived), covered)
			if len(p.Findings) != len(c.findings) {
				t.Fatalf("findings are %q, want %q", p.Findings, c.findings)
			}
			for i := range c.findings {
				if !strings.Contains(p.Findings[i], c.findings[i]) {
					t.Errorf("finding %q, want %q", p.Findings[i], c.findings[i])
				}
			}
			if got := strings.Trim(fmt.Sprint(p.Unknown), "[]"); got != c.unknown {
				t.Errorf("not known are %q, want %q", got, c.unknown)
			}
		})
	}
}
