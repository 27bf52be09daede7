package partitionlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
)

// lossy makes a log that can lose entries, as by damage.
func lossy(t *testing.T, entries int) (server, *partitionlog.Log, damage) {
	t.Helper()
	s := start(t)
	log := s.log(partition)
	made, err := log.Continue(s.ctx, 1, 1)
	must(t, err)
	must(t, made.Append(s.ctx, entry(0, 2)))
	must(t, made.Finish(s.ctx)) // this is group 2
	for i := 1; i < entries; i++ {
		_, err := log.Append(s.ctx, uint64(i), messages.EncodeEntry(entry(int64(2*i), 2)))
		must(t, err)
	}
	stream, err := s.js.Stream(s.ctx, messages.JournalStream(partition.Log))
	must(t, err)
	return s, log, damage{stream}
}

// damage is the stream of a journal in which each entry of a log is alone in a group.
type damage struct{ jetstream.Stream }

// group returns the sequence of the group with an entry.
func group(sequence uint64) uint64 { return sequence + min(sequence-1, 1) }

// lose loses an entry.
func (d damage) lose(ctx context.Context, sequence uint64) error {
	return d.SecureDeleteMsg(ctx, group(sequence))
}

// loseBelow loses all entries below a sequence.
func (d damage) loseBelow(ctx context.Context, sequence uint64) error {
	return d.Purge(ctx, jetstream.WithPurgeSequence(group(sequence)))
}

// walk tells in words what a walk finds: entries by their sequences, and what is missing.
func walk(t *testing.T, s server, log *partitionlog.Log, first, last uint64) []string {
	t.Helper()
	var found []string
	must(t, log.Walk(s.ctx, first, last, func(e messages.LoggedEntry) error {
		if e.Entry.BaseOffset != int64(2*(e.Sequence-1)) {
			t.Errorf("entry %d begins at offset %d", e.Sequence, e.Entry.BaseOffset)
		}
		found = append(found, fmt.Sprint(e.Sequence))
		return nil
	}, func(m partitionlog.Missing) error {
		found = append(found, fmt.Sprintf("%d-%d %.9s", m.First, m.Last, m.Reason))
		return nil
	}))
	return found
}

func TestWalkGoesOnBehindWhatIsMissing(t *testing.T) {
	s, log, stream := lossy(t, 12)
	for _, lost := range []uint64{1, 4, 5, 11, 12} {
		must(t, stream.lose(s.ctx, lost))
	}
	const gone = "JetStream"
	if diff := cmp.Diff([]string{"1-1 " + gone, "2", "3", "4-5 " + gone, "6", "7", "8", "9", "10", "11-12 " + gone}, walk(t, s, log, 1, 12)); diff != "" {
		t.Errorf("found (+), want (-):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"5-5 " + gone, "6", "7"}, walk(t, s, log, 5, 7)); diff != "" {
		t.Errorf("a part: found (+), want (-):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"4-5 " + gone}, walk(t, s, log, 4, 5)); diff != "" {
		t.Errorf("a hole: found (+), want (-):\n%s", diff)
	}
}

func TestWalkNamesEntriesThatCannotBeUnderstood(t *testing.T) {
	s, log, stream := lossy(t, 3)
	for i, data := range []string{"no entry", "nor this", string(messages.EncodeEntry(messages.Entry{TopicID: 99}))} {
		_, err := log.Append(s.ctx, uint64(3+i), []byte(data))
		must(t, err)
	}
	_, err := log.Append(s.ctx, 6, messages.EncodeEntry(entry(12, 2)))
	must(t, err)
	must(t, stream.lose(s.ctx, 5))
	want := []string{"1", "2", "3", "4-4 CORRUPT: ", "5-5 JetStream", "6-6 CORRUPT: ", "7"}
	if diff := cmp.Diff(want, walk(t, s, log, 1, 7)); diff != "" {
		t.Errorf("found (+), want (-):\n%s", diff)
	}
}

func TestWalkReadsLongLogsInSteps(t *testing.T) {
	s, log, stream := lossy(t, 600)
	for lost := uint64(200); lost < 300; lost++ {
		must(t, stream.lose(s.ctx, lost))
	}
	found := walk(t, s, log, 1, 600)
	if len(found) != 501 || found[199] != "200-299 JetStream" {
		t.Errorf("%d steps, the 200th is %q", len(found), found[199])
	}
}

func TestBoundsOfAMissingLog(t *testing.T) {
	s, _ := created(t, 0)
	other := partition
	other.Number++
	if _, err := s.log(other).Bounds(s.ctx); !errors.Is(err, partitionlog.ErrNoLog) {
		t.Errorf("a missing stream: %v", err)
	}
}

func TestWalkEndsWithTheErrorOfItsReader(t *testing.T) {
	s, log, stream := lossy(t, 3)
	must(t, stream.lose(s.ctx, 2))
	enough := errors.New("enough")
	none := func(partitionlog.Missing) error { return nil }
	if err := log.Walk(s.ctx, 1, 3, func(messages.LoggedEntry) error { return enough }, none); !errors.Is(err, enough) {
		t.Errorf("ended with %v", err)
	}
	all := func(messages.LoggedEntry) error { return nil }
	if err := log.Walk(s.ctx, 1, 3, all, func(partitionlog.Missing) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("ended with %v", err)
	}
	s.conn.Close()
	if err := log.Walk(s.ctx, 1, 3, all, none); err == nil || strings.Contains(err.Error(), "enough") {
		t.Errorf("without a connection: %v", err)
	}
}
