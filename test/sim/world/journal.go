package world

import (
	"bytes"
	"fmt"
	"time"

	"laneway.dev/internal/core/journal"
	"laneway.dev/pkg/messages"
)

// Journal is the stream that the logs of all partitions with one log number share. Its leader accepts
// groups by compare-and-set, which makes them proposals, and commits them later. A new leader has
// everything that was committed, and a part of what was proposed.
type Journal struct {
	Index    int      // in World.Journals
	Groups   []Stored // that were ever committed, those that were purged too
	First    uint64   // sequence of the first group that is not purged
	Proposed []messages.Group
	Term     int // counts leaders
	// Skew is that of the clock of the leader. Created is when the stream was created, by the clock of
	// the leader at that time.
	Skew    time.Duration
	Created time.Time
}

// Stored is a group in a journal.
type Stored struct {
	messages.Group
	At time.Time // by the clock of the leader
}

func (j *Journal) String() string { return fmt.Sprint("journal ", j.Index) }

// Last returns the sequence of the newest group that is committed.
func (j *Journal) Last() uint64 { return uint64(len(j.Groups)) }

// ShareJournals puts the logs of the partitions into journals, which have their first entries unless the
// partitions are created later.
func (w *World) ShareJournals(s JournalScheduler, skew func() time.Duration) {
	w.journals = s
	byLog := map[uint16]*Journal{}
	for _, of := range w.Partitions {
		j := byLog[of.ID.Log]
		if j == nil {
			j = &Journal{Index: len(w.Journals), First: 1, Skew: skew()}
			j.Created = w.Now.Add(j.Skew)
			byLog[of.ID.Log], w.Journals = j, append(w.Journals, j)
		}
		of.Journal = j
	}
	for _, j := range w.Journals {
		g := messages.Group{Writer: "creation", Number: 1}
		for _, of := range w.Partitions {
			if of.Journal == j && of.Exists {
				g.Sections = append(g.Sections, of.firstSection())
			}
		}
		if len(g.Sections) > 0 {
			w.Propose(j, 0, g)
			w.Commit(j)
		}
	}
}

// firstSection is the section with which the log of a partition begins.
func (of *Partition) firstSection() messages.Section {
	s := of.section(messages.SectionFirst, of.Log.Committed[0].Data)
	s.Sequence = 1
	return s
}

// section returns a section of the log of a partition.
func (of *Partition) section(kind messages.SectionKind, data []byte) messages.Section {
	s := messages.Section{Log: messages.LogIDOf(of.ID), Kind: kind}
	if kind.HasEntry() {
		s.Entry, s.Topic, s.Stage = data, of.ID.Topic, messages.StageOwned
	}
	return s
}

// Propose lets the leader decide about a group. It refuses one that expects another end of the journal.
func (w *World) Propose(j *Journal, expected uint64, g messages.Group) bool {
	if last := j.Last() + uint64(len(j.Proposed)); expected != last {
		w.Say("  %s refuses an append of %s: it would be group %d, and there are %d", j, g.Writer, expected+1, last)
		return false
	}
	j.Proposed = append(j.Proposed, g)
	return true
}

// Commit commits the oldest proposal, and returns its sequence.
func (w *World) Commit(j *Journal) uint64 {
	g := j.Proposed[0]
	j.Proposed = j.Proposed[1:]
	for i := len(j.Groups) - 1; i >= 0 && i >= len(j.Groups)-recentGroups; i-- {
		if o := &j.Groups[i]; o.Writer == g.Writer && o.Number == g.Number {
			w.Violated("journal: group %d of %s is in %s twice", g.Number, g.Writer, j)
		}
	}
	j.Groups = append(j.Groups, Stored{g, w.Now.Add(j.Skew)})
	w.Say("  group %d of %s is in %s, with %d sections", j.Last(), g.Writer, j, len(g.Sections))
	for i := range g.Sections {
		w.section(j, &g, &g.Sections[i])
	}
	return j.Last()
}

// recentGroups is among how many groups the same one is looked for.
const recentGroups = 50

// NewLeader replaces the leader of a journal. What is still proposed is lost.
func (j *Journal) NewLeader(skew time.Duration) {
	j.Proposed = nil
	j.Term++
	j.Skew = skew
}

// section checks a section that was committed, and adds it to the log of its partition.
func (w *World) section(j *Journal, g *messages.Group, s *messages.Section) {
	of := w.partitionOf(s.Log)
	if of == nil || of.Journal != j {
		w.Violated("journal: group %d has a section of log %+v, which is not in %s", j.Last(), s.Log, j)
		return
	}
	l := &of.Log
	switch last := l.Last(); {
	case s.Kind == messages.SectionFirst:
		if l.begun || l.Gone || s.Sequence != 1 || !bytes.Equal(s.Entry, l.Committed[0].Data) {
			w.violated(of, "journal: group %d begins the log with entry %d; it has begun: %t; it was deleted: %t", j.Last(), s.Sequence, l.begun, l.Gone)
		}
		l.begun, l.places = true, []uint64{j.Last()}
		if of.Evidence != nil {
			of.Evidence.created()
		}
	case !l.begun:
		w.violated(of, "journal: group %d has a section of kind %d, and there is no log; it was deleted: %t", j.Last(), s.Kind, l.Gone)
	case s.Kind == messages.SectionNext:
		if s.Sequence != last+1 {
			w.violated(of, "journal: group %d has entry %d after entry %d", j.Last(), s.Sequence, last)
		}
		l.places = append(l.places, j.Last())
		w.next(of, g.Writer, s.Entry)
	case s.Kind == messages.SectionAgain || s.Kind == messages.SectionSuspect:
		if s.Sequence != last || !bytes.Equal(s.Entry, l.Committed[last-1].Data) {
			w.violated(of, "journal: group %d has entry %d again, which is not as entry %d was", j.Last(), s.Sequence, last)
		}
		l.places[last-1] = j.Last()
	case s.Kind == messages.SectionTrimmed:
		w.Purge(of, min(s.Sequence, last))
	case s.Kind == messages.SectionDeleted && of.Deleted:
		w.SayOf(of, "  the log is deleted")
		l.begun, l.Gone = false, true
	default:
		w.violated(of, "journal: group %d has a section of kind %d", j.Last(), s.Kind)
	}
}

// partitionOf returns the partition with a log; nil if there is none.
func (w *World) partitionOf(log messages.LogID) *Partition {
	for _, of := range w.Partitions {
		if messages.LogIDOf(of.ID) == log {
			return of
		}
	}
	return nil
}

// Read returns groups of the journal from a sequence on, as its leader has them.
func (j *Journal) Read(from uint64, limit int) journal.Groups {
	read := journal.Groups{Through: from - 1}
	for at := max(from, j.First); at <= j.Last() && len(read.Groups) < limit; at++ {
		read.Groups = append(read.Groups, journal.Placed{Sequence: at, Group: j.Groups[at-1].Group})
		read.Through = at
	}
	if read.Through >= j.Last() {
		read.AtEnd, read.First = true, j.First
	}
	return read
}

// PurgeJournal removes the groups below a sequence, and checks that no log needs one of them. It returns
// false if there is nothing to remove.
func (w *World) PurgeJournal(j *Journal, below uint64) (purged bool) {
	if below <= j.First || below > j.Last() {
		return false
	}
	for _, of := range w.Partitions {
		if of.Journal != j || !of.Log.begun {
			continue
		}
		for sequence := of.Log.First; sequence <= of.Log.Last(); sequence++ {
			if place := of.Log.places[sequence-1]; place < below {
				w.violated(of, "journal: it is purged below group %d, and the log needs entry %d in group %d", below, sequence, place)
			}
		}
	}
	w.Say("  %s is purged, and begins with group %d", j, below)
	j.First = below
	return true
}
