package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	core "laneway.dev/internal/core/journal"
	"laneway.dev/internal/streamread"
	"laneway.dev/pkg/messages"
)

// Entry is an entry of the log of a partition.
type Entry struct {
	Sequence uint64
	Time     time.Time // that JetStream gave to its group, by the clock of the stream's leader
	Data     []byte    // as messages.EncodeEntry returns it
}

const (
	// maxReads bounds the requests for groups that are under way at once.
	maxReads = 8
	// readBytes bounds the entries of one Read, apart from the first one.
	readBytes = 256 << 10
	// maxReadBytes bounds the entries of all Reads that wait at once.
	maxReadBytes = 64 << 20
	// nearGroups is how many groups without an entry of the log are read to save a request.
	nearGroups = 8
)

// run are entries of a log that follow each other.
type run struct {
	first  uint64   // sequence of the first one
	places []uint64 // of their groups
	bytes  int64    // of the entries
	end    bool     // no known entry follows them
}

// Read returns entries of a log: up to limit, and up to readBytes unless the first one is larger. They begin
// with the first one whose sequence is at least from, and which the journal has not lost. Their sequences
// follow each other, and end before an entry that is lost. atEnd reports that none follows. If none is known
// from there on, the journal is read to its end first. Of a log that does not exist, the error wraps
// core.ErrNoLog.
func (j *Journal) Read(ctx context.Context, id messages.LogID, from uint64, limit int) (entries []Entry, atEnd bool, err error) {
	for looked := false; ; looked = true {
		r, exists, err := j.runOf(ctx, id, from, limit, looked)
		switch {
		case err != nil:
			return nil, false, err
		case len(r.places) > 0:
			entries, err := j.readRun(ctx, id, r)
			if err != nil || len(entries) > 0 {
				return entries, r.end && len(entries) == len(r.places), err
			}
			if !looked {
				continue // the place may be an old one, from which the entry was moved for a purge
			}
			entries, from, err = j.beyondLost(ctx, id, r)
			if err != nil || len(entries) > 0 {
				return entries, r.end && len(r.places) == 1, err
			}
		case looked && !exists:
			return nil, false, fmt.Errorf("read log %+v in %s: %w", id, j.stream, core.ErrNoLog)
		case looked:
			return nil, true, nil
		}
	}
}

// beyondLost asks the leader of the stream for the first entry of a run, which a replica does not have.
// If the leader has lost it, too, beyondLost returns the sequence of the first entry that it may have.
func (j *Journal) beyondLost(ctx context.Context, id messages.LogID, r run) (entries []Entry, next uint64, err error) {
	m, found, err := streamread.LeaderNext(ctx, j.config.Conn, j.stream, j.subject, r.places[0])
	if err != nil {
		return nil, 0, err
	}
	lost := len(r.places)
	switch {
	case found && m.Sequence == r.places[0]:
		g, err := decode(&m)
		if err != nil {
			return nil, 0, err
		}
		var into [1]Entry
		if g.collect(id, r.first, into[:]); into[0].Data != nil {
			return into[:], 0, nil
		}
		lost = 1 // its group is damaged
	case found:
		if kept := slices.IndexFunc(r.places, func(place uint64) bool { return place >= m.Sequence }); kept >= 0 {
			lost = kept
		}
	}
	// A purge may have moved it meanwhile. A place that is still known after that is that of a lost group.
	now, _, err := j.runOf(ctx, id, r.first, 1, true)
	if err != nil || now.first != r.first || now.places[0] != r.places[0] {
		return nil, r.first, err
	}
	return nil, r.first + uint64(lost), nil
}

// runOf returns where entries are. If look is set, the journal is read to its end first.
func (j *Journal) runOf(ctx context.Context, id messages.LogID, from uint64, limit int, look bool) (r run, exists bool, err error) {
	err = j.ask(ctx, look, func(x *core.Index) {
		var state core.State
		state, exists = x.State(id)
		r.first, r.places, r.bytes = x.Places(id, from, limit, readBytes)
		r.places = slices.Clone(r.places)
		r.end = r.first+uint64(len(r.places)) > state.Last
	})
	return r, exists, err
}

// readRun reads the entries of a run, up to the first one that its group does not have.
func (j *Journal) readRun(ctx context.Context, id messages.LogID, r run) ([]Entry, error) {
	entries, err := j.groups.entries(ctx, id, r)
	if err != nil {
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

// stored is a group with the time that JetStream has given to it.
type stored struct {
	messages.Group
	time time.Time
}

// readGroups calls a function for the groups from first to last, as far as the replica that answers has them.
// One that is damaged has no sections.
func (j *Journal) readGroups(first, last uint64, do func(place uint64, g *stored)) error {
	ctx, cancel := context.WithTimeout(j.reads, attemptTimeout)
	defer cancel()
	return j.eachMessage(ctx, first, last, func(m *streamread.Message) error {
		g, err := decode(m)
		if err == nil {
			do(m.Sequence, &g)
		}
		return err
	})
}

// eachMessage calls a function for the messages of the stream from first to last, as far as the replica
// that answers has them.
func (j *Journal) eachMessage(ctx context.Context, first, last uint64, do func(*streamread.Message) error) error {
	for next := first; next <= last; {
		read, atEnd, err := streamread.Several(ctx, j.config.Conn, j.stream, next, int(last-next)+1)
		if err != nil {
			return err
		}
		for i := range read {
			if err := do(&read[i]); err != nil {
				return err
			}
			next = max(next+1, read[i].Sequence+1)
		}
		if atEnd || len(read) == 0 {
			return nil
		}
	}
	return nil
}

// decode decodes a group. One that is damaged has no sections.
func decode(m *streamread.Message) (stored, error) {
	g, err := messages.DecodeGroup(m.Data)
	if errors.Is(err, messages.ErrGroupVersion) {
		return stored{}, fmt.Errorf("group %d: %w", m.Sequence, err)
	}
	return stored{g, m.Time}, nil
}

// collect takes the entries of a log from the group.
func (g *stored) collect(id messages.LogID, first uint64, into []Entry) {
	for i := range g.Sections {
		s := &g.Sections[i]
		if s.Log == id && s.Kind.HasEntry() && s.Sequence >= first && s.Sequence-first < uint64(len(into)) {
			into[s.Sequence-first] = Entry{Sequence: s.Sequence, Time: g.time, Data: s.Entry}
		}
	}
}

// Leader reads the entry at a sequence from the leader of the stream; false if it is not there.
func (j *Journal) Leader(ctx context.Context, id messages.LogID, sequence uint64) (entry Entry, found bool, err error) {
	place, err := j.Place(ctx, id, sequence)
	if err != nil || place == 0 {
		return Entry{}, false, err
	}
	m, found, err := streamread.Leader(ctx, j.config.Conn, j.stream, place)
	if err != nil || !found {
		return Entry{}, false, err
	}
	g, err := decode(&m)
	if err != nil {
		return Entry{}, false, err
	}
	var into [1]Entry
	g.collect(id, sequence, into[:])
	return into[0], into[0].Data != nil, nil
}

// Place returns the sequence of the group that has an entry; 0 if there is none.
func (j *Journal) Place(ctx context.Context, id messages.LogID, sequence uint64) (uint64, error) {
	r, _, err := j.runOf(ctx, id, sequence, 1, true)
	if err != nil || len(r.places) == 0 || r.first != sequence {
		return 0, err
	}
	return r.places[0], nil
}

// groupsPerRead is how many groups one read of the journal requests.
const groupsPerRead = 256

// answerTimeout bounds the wait for the answer of a replica. One that cannot read a group sends none.
const answerTimeout = attemptTimeout / 2

// readOnce reads a part of the journal. Any replica may answer; where its answer has a hole, or ends, or
// if it does not answer, the leader of the stream is asked. Before the first log is created, there is no
// stream, and the journal is empty.
func (j *Journal) readOnce(ctx context.Context, from uint64) (core.Groups, error) {
	bounded, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	read, atEnd, readErr := streamread.Several(bounded, j.config.Conn, j.stream, from, groupsPerRead)
	groups := core.Groups{Through: from - 1}
	for _, m := range read {
		if m.Sequence != groups.Through+1 {
			return j.beyondHole(ctx, groups)
		}
		if err := take(&groups, m); err != nil {
			return core.Groups{}, err
		}
	}
	// An answer may end before a group that the replica cannot read, which is then not a hole.
	if readErr == nil && !atEnd && groups.Through > from {
		return groups, nil
	}
	end, err := j.end(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return core.Groups{AtEnd: true}, nil
	case err != nil:
		return core.Groups{}, errors.Join(readErr, err)
	case end.Through > groups.Through:
		return j.beyondHole(ctx, groups)
	}
	end.Groups = groups.Groups
	return end, nil
}

// end asks the leader of the stream for its first sequence, and for the last one that it has given out.
func (j *Journal) end(ctx context.Context) (core.Groups, error) {
	stream, err := j.config.JS.Stream(ctx, j.stream)
	if err != nil {
		return core.Groups{}, fmt.Errorf("look up stream %s: %w", j.stream, err)
	}
	state := stream.CachedInfo().State
	return core.Groups{Through: state.LastSeq, AtEnd: true, First: state.FirstSeq}, nil
}

// beyondHole adds the next group that the leader has. If it has none, it has lost the end of the
// journal, which then ends with the last sequence that it has given out.
func (j *Journal) beyondHole(ctx context.Context, groups core.Groups) (core.Groups, error) {
	m, found, err := streamread.LeaderNext(ctx, j.config.Conn, j.stream, j.subject, groups.Through+1)
	if err != nil {
		return core.Groups{}, err
	}
	if found {
		err = take(&groups, m)
		return groups, err
	}
	end, err := j.end(ctx)
	end.Groups = groups.Groups
	return end, err
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
