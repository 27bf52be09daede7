package archiver

import (
	"testing"
	"time"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
)

// An accepted loss continues a log in another stream, whose sequences begin above all of the first.
func TestLogOfTheNextIncarnationIsArchived(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.fill()
	h := w.archives(w.job(messages.History{})).History

	id, conn := partition, w.connect()
	id.Incarnation++
	log := partitionlog.New(conn, w.js, id)
	stream, err := log.Continue(t.Context(), 1, 1000)
	w.must(err)
	created := messages.Entry{TopicID: id.TopicID, Created: true, BaseOffset: h.End.Offset, History: h, Time: time.Now().UnixNano()}
	w.must(stream.Append(t.Context(), created))
	w.must(stream.Finish(t.Context()))
	w.log, w.entries, w.frames = log, append(w.entries, messages.LoggedEntry{Sequence: 1000, Entry: created}), append(w.frames, nil)
	w.append(7, frameOf("seven"))

	job := w.job(h)
	job.Partition = id
	m := w.archives(job)
	if m.Records != 2 || m.Missing != 7 {
		t.Errorf("%d records, %d missing", m.Records, m.Missing)
	}
	got, last := w.segments(m.History.Manifest), len(w.entries)-1
	if len(got) != len(w.entries) || got[last-1].Sequence != 1000 || got[last].Sequence != 1001 {
		t.Errorf("the segments have %d entries: %+v", len(got), got)
	}
}
