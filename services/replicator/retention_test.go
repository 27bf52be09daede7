package replicator_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// continueLog continues the log of the partition in a new stream, whose records were taken by an owner
// with its clock at 1970 and are archived.
func (r *rig) continueLog() messages.History {
	r.t.Helper()
	next := r.id
	next.Incarnation++
	const first = 1000
	target, err := partitionlog.New(r.conn, r.js, next).Continue(r.ctx, 1, first)
	must(r.t, err)
	archived := messages.History{
		Manifest: "m", End: messages.Position{Sequence: first, Offset: 2}, Size: 100, Bytes: 1000, OldestBytes: 1000,
		Oldest: time.Unix(60, 0).UnixNano(),
	}
	must(r.t, target.Append(r.ctx, messages.Entry{TopicID: next.TopicID, Created: true, BaseOffset: 2, Time: archived.Oldest, History: archived}))
	must(r.t, target.Finish(r.ctx))
	must(r.t, r.registry.Continue(r.ctx, r.id, next.Incarnation))
	r.id = next
	return archived
}

func TestRecordsThatSeemOldAreKeptAfterARepair(t *testing.T) {
	r := newRig(t)
	_, _, err := r.registry.Update(r.ctx, protocol.TopicUpdate{Name: r.id.Topic, RetentionAgeMS: new(time.Hour.Milliseconds())})
	must(t, err)
	archived := r.continueLog()
	jobs := make(chan *nats.Msg, 100)
	_, err = r.conn.ChanQueueSubscribe(messages.ArchiveSubject, messages.ArchiverQueue, jobs)
	must(t, err)
	r.archive = 1
	s := r.start()
	defer r.stop(s)
	r.commit(1)
	select {
	case m := <-jobs:
		decoded, err := messages.Decode(m.Data)
		must(t, err)
		if job := decoded.(messages.Archive); job.Retain.Cutoff > archived.Oldest {
			t.Errorf("the job drops what is older than %v", time.Unix(0, job.Retain.Cutoff))
		}
	case <-r.ctx.Done():
		t.Fatalf("there is no job. Logged: %v", r.logs.All())
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
