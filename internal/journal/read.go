package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	core "laneway.dev/internal/core/journal"
	"laneway.dev/internal/streamread"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// groupsPerRead is how many groups one read of the journal requests.
const groupsPerRead = 256

// readOnce reads a part of the journal. Any replica may answer; where its answer has a hole, or ends,
// the leader of the stream is asked.
func (j *Journal) readOnce(ctx context.Context, from uint64) (core.Groups, error) {
	read, atEnd, err := streamread.Several(ctx, j.config.Conn, j.stream, from, groupsPerRead)
	if err != nil {
		return core.Groups{}, err
	}
	groups := core.Groups{Through: from - 1}
	for _, m := range read {
		if m.Sequence != groups.Through+1 {
			return j.beyondHole(ctx, groups)
		}
		if err := take(&groups, m); err != nil {
			return core.Groups{}, err
		}
	}
	if !atEnd {
		return groups, nil
	}
	stream, err := j.config.JS.Stream(ctx, j.stream)
	if err != nil {
		return core.Groups{}, fmt.Errorf("look up stream %s: %w", j.stream, err)
	}
	last := stream.CachedInfo().State.LastSeq
	if last > groups.Through {
		return j.beyondHole(ctx, groups)
	}
	groups.Through, groups.AtEnd = last, true
	return groups, nil
}

// beyondHole adds the next group that the leader has. If it has none, it has lost the end of the
// journal, which then ends with the last sequence that it has given out.
func (j *Journal) beyondHole(ctx context.Context, groups core.Groups) (core.Groups, error) {
	m, found, err := streamread.LeaderNext(ctx, j.config.Conn, j.stream, messages.JournalSubject(j.config.Log), groups.Through+1)
	if err != nil {
		return core.Groups{}, err
	}
	if found {
		err = take(&groups, m)
		return groups, err
	}
	stream, err := j.config.JS.Stream(ctx, j.stream)
	if err != nil {
		return core.Groups{}, fmt.Errorf("look up stream %s: %w", j.stream, err)
	}
	groups.Through, groups.AtEnd = stream.CachedInfo().State.LastSeq, true
	return groups, nil
}

// take adds a group. One that is damaged is lost.
func take(groups *core.Groups, m streamread.Message) error {
	g, err := messages.DecodeGroup(m.Data)
	if errors.Is(err, messages.ErrGroupVersion) {
		return fmt.Errorf("group %d: %w", m.Sequence, err)
	}
	groups.Through = m.Sequence
	if err == nil {
		groups.Groups = append(groups.Groups, core.Placed{Sequence: m.Sequence, Group: g})
	}
	return nil
}

// Entry is an entry of the log of a partition.
type Entry struct {
	Sequence uint64
	Data     []byte // as messages.EncodeEntry returns it
}

const (
	// maxReads bounds the requests of one Read that are under way at once.
	maxReads = 8
	// nearGroups is how many groups without an entry of the log are read to save a request.
	nearGroups = 8
)

// Read returns up to limit entries of a log, from a sequence on, as far as this process knows the
// journal. Their sequences follow each other. It ends before an entry that is lost.
func (j *Journal) Read(ctx context.Context, id messages.LogID, from uint64, limit int) ([]Entry, error) {
	a, err := j.do(ctx, &call{section: messages.Section{Log: id}, from: from, most: limit})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", j.stream, err)
	}
	places := a.places
	if lost := slices.Index(places, 0); lost >= 0 {
		places = places[:lost]
	}
	entries := make([]Entry, len(places))
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(maxReads)
	for len(places) > 0 {
		n := near(places)
		run, into := places[:n], entries[len(entries)-len(places):][:n]
		first := from + uint64(len(entries)-len(places))
		reads.Go(func() error { return j.readRun(ctx, id, run, first, into) })
		places = places[n:]
	}
	if err := reads.Wait(); err != nil {
		return nil, err
	}
	if lost := slices.IndexFunc(entries, func(e Entry) bool { return e.Data == nil }); lost >= 0 {
		entries = entries[:lost]
	}
	return entries, nil
}

// near returns how many places, from the first one on, are read with one request.
func near(places []uint64) int {
	n := 1
	for n < len(places) && places[n] >= places[n-1] && places[n]-places[n-1] <= nearGroups && places[n]-places[0] < groupsPerRead {
		n++
	}
	return n
}

// readRun reads the entries of a log, from the sequence first on, that stand in groups near each
// other.
func (j *Journal) readRun(ctx context.Context, id messages.LogID, places []uint64, first uint64, into []Entry) error {
	next := places[0]
	last := places[len(places)-1]
	for next <= last {
		read, atEnd, err := streamread.Several(ctx, j.config.Conn, j.stream, next, int(last-next)+1)
		if err != nil {
			return err
		}
		for _, m := range read {
			g, err := messages.DecodeGroup(m.Data)
			if err != nil {
				return protocol.Errorf(protocol.CodeCorrupt, "group %d of stream %s: %v", m.Sequence, j.stream, err)
			}
			for i := range g.Sections {
				s := &g.Sections[i]
				if s.Log == id && s.Kind.HasEntry() && s.Sequence >= first && s.Sequence-first < uint64(len(into)) {
					into[s.Sequence-first] = Entry{Sequence: s.Sequence, Data: s.Entry}
				}
			}
			next = m.Sequence + 1
		}
		if atEnd || len(read) == 0 {
			return nil // the replica that has answered lags, or the groups were purged
		}
	}
	return nil
}
