package topics

import (
	"context"
	"errors"
	"strings"
	"testing"

	"laneway.dev/internal/history"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// archived creates a topic of two partitions. The last entry of the second one says what is
// archived.
func (r *rig) archived(h messages.History) protocol.Partition {
	r.t.Helper()
	id := r.create(protocol.TopicConfig{Name: "orders", Partitions: 2}).Partition(1)
	log := partitionlog.New(r.conn, r.js, id)
	entry := messages.Entry{TopicID: id.TopicID, BaseOffset: 100, History: h}
	if _, err := log.Append(r.t.Context(), 1, messages.EncodeEntry(entry)); err != nil {
		r.t.Fatal(err)
	}
	return id
}

func TestInfoShowsWhatIsArchived(t *testing.T) {
	h := messages.History{Manifest: "m/0000000000000001/01ARZ3NDEKTSV4RRFFQ69G5FAV", Start: 10, End: messages.Position{Sequence: 1, Offset: 90}}
	r := start(t)
	id := r.archived(h)
	r.segments = func(_ context.Context, p protocol.Partition, asked messages.History) (history.Size, error) {
		if p != id || asked != h {
			t.Errorf("asked for the segments of %s by %+v", p, asked)
		}
		return history.Size{Segments: 3, Bytes: 4096, Oldest: 5}, nil
	}
	var info protocol.TopicResponse
	if code, text := r.request("info", protocol.TopicRequest{Name: "orders"}, &info); code != protocol.CodeOK {
		t.Fatal(text)
	}
	none, some := info.Partitions[0], info.Partitions[1]
	if want := logtest.Of(t, r.conn, id).Bytes(); some.LogBytes != want || none.LogBytes == 0 || none.LogBytes >= want {
		t.Errorf("the logs have %d and %d bytes, want less and %d", none.LogBytes, some.LogBytes, want)
	}
	if none.StartOffset != 0 || none.ArchivedOffset != 0 || none.Segments != 0 {
		t.Errorf("of a partition of which nothing is archived: %+v", none)
	}
	if some.StartOffset != 10 || some.EndOffset != 100 || some.ArchivedOffset != 90 || some.Segments != 3 || some.SegmentBytes != 4096 || some.OldestTime == nil || some.OldestTime.UnixNano() != 5 || len(info.Warnings) > 0 {
		t.Errorf("%+v, warnings %q", some, info.Warnings)
	}
}

func TestInfoNeedsNoObjectStore(t *testing.T) {
	r := start(t)
	r.archived(messages.History{Manifest: "m/0000000000000001/01ARZ3NDEKTSV4RRFFQ69G5FAV", End: messages.Position{Sequence: 1, Offset: 90}})
	r.segments = func(ctx context.Context, _ protocol.Partition, _ messages.History) (history.Size, error) {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("the wait for the store is not bounded")
		}
		return history.Size{}, errors.New("the store is away")
	}
	var info protocol.TopicResponse
	if code, text := r.request("info", protocol.TopicRequest{Name: "orders"}, &info); code != protocol.CodeOK {
		t.Fatal(text)
	}
	if some := info.Partitions[1]; some.ArchivedOffset != 90 || some.Segments != 0 {
		t.Errorf("%+v", some)
	}
	if len(info.Warnings) != 1 || !strings.Contains(info.Warnings[0], "the store is away") {
		t.Errorf("warnings %q", info.Warnings)
	}
}
