package topics_test

import (
	"strings"
	"testing"

	"laneway.dev/internal/marks"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestUsedLaterIncarnationOutdatesRecord(t *testing.T) {
	ctx, registry, js := damaged(t)
	p := create(ctx, t, registry, "orders", 2).Partition(1)
	store := marks.New(js.Conn(), js)
	append1 := func(log *partitionlog.Log, expected uint64) {
		t.Helper()
		if _, err := log.Append(ctx, expected, messages.EncodeEntry(messages.Entry{TopicID: p.TopicID, Owner: "a", OwnerEpoch: 1})); err != nil {
			t.Fatal(err)
		}
	}
	later := func() []topics.Incarnation {
		t.Helper()
		all, err := topics.Later(ctx, js.Conn(), js, p)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	append1(partitionlog.New(js.Conn(), js, p), 1)
	if all := later(); len(all) != 0 {
		t.Errorf("later than the only one are %+v", all)
	}
	next := p
	next.Incarnation = 1
	log := partitionlog.New(js.Conn(), js, next)
	target, err := log.Continue(ctx, 1, 100)
	if err == nil {
		err = target.Append(ctx, messages.Entry{TopicID: p.TopicID, Created: true})
	}
	if err == nil {
		err = target.Finish(ctx)
	}
	reserved := messages.Position{Sequence: 100, Offset: 7}
	if err == nil {
		_, err = store.Put(ctx, next, messages.Mark{Owner: marks.ByRepair, Reserved: reserved}, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if all := later(); len(all) != 1 || all[0] != (topics.Incarnation{Partition: next, Exists: true, Last: 100, Reserved: reserved}) {
		t.Errorf("later are %+v", all)
	}
	if found, err := registry.Survey(ctx); err != nil || found.Err() != nil {
		t.Errorf("what an interrupted repair has left is reported: %+v, %v", found, err)
	}
	append1(log, 100)
	if all := later(); len(all) != 1 || !all[0].Used {
		t.Errorf("later are %+v", all)
	}
	found, err := registry.Survey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, found.Err(), protocol.CodePartitionDamaged)
	if text := found.Err().Error(); !strings.Contains(text, messages.LogName(next)) || len(found.Outdated) != 1 {
		t.Errorf("the survey says %q", text)
	}
	if err := registry.Continue(ctx, p, 1); err != nil {
		t.Fatal(err)
	}
	if found, err := registry.Survey(ctx); err != nil || found.Err() != nil {
		t.Errorf("once the record is corrected: %+v, %v", found, err)
	}
}
