package topics_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/protocol"
)

func TestAnUpdateChangesWhatItNames(t *testing.T) {
	ctx, registry, _ := open(t)
	created, err := registry.Create(ctx, protocol.TopicConfig{Name: "orders", Subjects: []string{"orders.>"}, MaxProducers: 7})
	if err != nil {
		t.Fatal(err)
	}
	want := created
	for _, c := range []struct {
		update protocol.TopicUpdate
		change func()
	}{
		{protocol.TopicUpdate{MaxRecordBytes: new(1000)}, func() { want.MaxRecordBytes = 1000 }},
		{protocol.TopicUpdate{Subjects: []string{"orders.new", "returns"}}, func() { want.Subjects = []string{"orders.new", "returns"} }},
		{protocol.TopicUpdate{Compression: new(protocol.CompressionZstd)}, func() { want.Compression = protocol.CompressionZstd }},
		{protocol.TopicUpdate{ProducerExpiryMS: new(time.Hour.Milliseconds()), MaxProducers: new(9)}, func() {
			want.ProducerExpiryMS, want.MaxProducers = time.Hour.Milliseconds(), 9
		}},
		{protocol.TopicUpdate{Subjects: []string{}}, func() { want.Subjects = []string{} }},
		{protocol.TopicUpdate{MaxProducers: new(0)}, func() { want.MaxProducers = protocol.DefaultMaxProducers }},
	} {
		previous := want
		c.change()
		want.Revision++
		c.update.Name = "orders"
		before, after, err := registry.Update(ctx, c.update)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := registry.Get(ctx, "orders")
		if err != nil {
			t.Fatal(err)
		}
		for what, diff := range map[string]string{
			"before": cmp.Diff(previous, before, emptyIsNil), "after": cmp.Diff(want, after, emptyIsNil), "stored": cmp.Diff(want, stored, emptyIsNil),
		} {
			if diff != "" {
				t.Errorf("%+v, the topic %s: -want +got\n%s", c.update, what, diff)
			}
		}
	}
}

var emptyIsNil = cmp.Transformer("subjects", func(s []string) string { return fmt.Sprint(len(s), s) })

func TestAnUpdateThatChangesNothingWritesNothing(t *testing.T) {
	ctx, registry, _ := open(t)
	created := create(ctx, t, registry, "orders", 1)
	for _, update := range []protocol.TopicUpdate{
		{Name: "orders"},
		{Name: "orders", MaxRecordBytes: new(created.MaxRecordBytes), Subjects: []string{}, Compression: new(protocol.CompressionNone)},
	} {
		before, after, err := registry.Update(ctx, update)
		if err != nil || before.Revision != 0 || after.Revision != 0 {
			t.Errorf("revision %d before and %d after, error %v; want 0", before.Revision, after.Revision, err)
		}
	}
}

func TestUpdatesAreCheckedLikeCreations(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.*"}}); err != nil {
		t.Fatal(err)
	}
	create(ctx, t, registry, "many", 2)
	for _, config := range []protocol.TopicConfig{{Name: "orders", Subjects: []string{"orders.>"}}, {Name: "bills", Subjects: []string{"bills"}}} {
		if _, err := registry.Create(ctx, config); err != nil {
			t.Fatal(err)
		}
	}
	if err := registry.Delete(ctx, "bills"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		update protocol.TopicUpdate
		want   protocol.Code
	}{
		"no name":                        {protocol.TopicUpdate{}, protocol.CodeInvalidTopicName},
		"no such topic":                  {protocol.TopicUpdate{Name: "nothing"}, protocol.CodeUnknownTopic},
		"a deleted topic":                {protocol.TopicUpdate{Name: "bills"}, protocol.CodeUnknownTopic},
		"subjects of several partitions": {protocol.TopicUpdate{Name: "many", Subjects: []string{"a"}}, protocol.CodeInvalidRequest},
		"subjects of a stream":           {protocol.TopicUpdate{Name: "orders", Subjects: []string{"events.new"}}, protocol.CodeSubjectOverlap},
		"subjects of Laneway":            {protocol.TopicUpdate{Name: "orders", Subjects: []string{"laneway.x"}}, protocol.CodeSubjectOverlap},
		"subjects that overlap":          {protocol.TopicUpdate{Name: "orders", Subjects: []string{"a.*", "*.b"}}, protocol.CodeSubjectOverlap},
		"a subject that is none":         {protocol.TopicUpdate{Name: "orders", Subjects: []string{""}}, protocol.CodeInvalidSubject},
		"a record size above 4 MiB":      {protocol.TopicUpdate{Name: "orders", MaxRecordBytes: new(5 << 20)}, protocol.CodeInvalidRequest},
		"an expiry below ten minutes":    {protocol.TopicUpdate{Name: "orders", ProducerExpiryMS: new(int64(599_999))}, protocol.CodeInvalidRequest},
		"too many producers":             {protocol.TopicUpdate{Name: "orders", MaxProducers: new(1_000_001)}, protocol.CodeInvalidRequest},
		"an unknown codec":               {protocol.TopicUpdate{Name: "orders", Compression: new(protocol.Compression("gzip"))}, protocol.CodeInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := registry.Update(ctx, c.update)
			wantCode(t, err, c.want)
		})
	}
	if topic, err := registry.Get(ctx, "orders"); err != nil || topic.Revision != 0 || !slices.Equal(topic.Subjects, []string{"orders.>"}) {
		t.Errorf("refused updates have changed the topic to %+v, error %v", topic, err)
	}
}

func TestSubjectsMoveFromOneTopicToAnother(t *testing.T) {
	ctx, registry, _ := open(t)
	for _, config := range []protocol.TopicConfig{{Name: "one", Subjects: []string{"a", "b"}}, {Name: "two", Subjects: []string{"c"}}} {
		if _, err := registry.Create(ctx, config); err != nil {
			t.Fatal(err)
		}
	}
	take := protocol.TopicUpdate{Name: "two", Subjects: []string{"c", "b"}}
	_, _, err := registry.Update(ctx, take)
	wantOverlap(t, err, "b overlaps with b of topic one")
	if _, _, err := registry.Update(ctx, protocol.TopicUpdate{Name: "one", Subjects: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := registry.Update(ctx, take); err != nil {
		t.Error(err)
	}
}

// A stream that was created over a subject of the topic must not stand in the way of other
// changes, nor of leaving the subject.
func TestAnOverlapThatExistsHindersNoOtherUpdate(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Create(ctx, protocol.TopicConfig{Name: "orders", Subjects: []string{"orders.>", "events.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.*"}}); err != nil {
		t.Fatal(err)
	}
	for _, update := range []protocol.TopicUpdate{{MaxProducers: new(3)}, {Subjects: []string{"orders.>"}}} {
		update.Name = "orders"
		if _, _, err := registry.Update(ctx, update); err != nil {
			t.Errorf("%+v: %v", update, err)
		}
	}
}

func TestConcurrentUpdatesAllTakeEffect(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	updates := []protocol.TopicUpdate{
		{MaxRecordBytes: new(1000)},
		{MaxProducers: new(3)},
		{Compression: new(protocol.CompressionS2)},
		{ProducerExpiryMS: new(time.Hour.Milliseconds())},
		{Subjects: []string{"orders.>"}},
	}
	var wait sync.WaitGroup
	for n, update := range updates {
		registry, err := topics.Open(ctx, conn, js) // as in another process
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			create(ctx, t, registry, "orders", 1)
		}
		update.Name = "orders"
		wait.Go(func() {
			if _, _, err := registry.Update(ctx, update); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	got, err := topics.Lookup(ctx, conn, "orders")
	if err != nil {
		t.Fatal(err)
	}
	want := protocol.TopicConfig{
		Name: "orders", Partitions: 1, Replicas: 1, MaxRecordBytes: 1000, MaxProducers: 3, Compression: protocol.CompressionS2,
		ProducerExpiryMS: time.Hour.Milliseconds(), Subjects: []string{"orders.>"},
	}
	if diff := cmp.Diff(want, got.TopicConfig); diff != "" || got.Revision != uint64(len(updates)) {
		t.Errorf("revision %d; -want +got\n%s", got.Revision, diff)
	}
}

func TestOfOverlappingUpdatesOnlyOneSucceeds(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const processes = 6
	errs := make([]error, processes)
	var wait sync.WaitGroup
	for n := range processes {
		registry, err := topics.Open(ctx, conn, js)
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("rival-%d", n)
		create(ctx, t, registry, name, 1)
		wait.Go(func() {
			_, _, errs[n] = registry.Update(ctx, protocol.TopicUpdate{Name: name, Subjects: []string{"orders.>"}})
		})
	}
	wait.Wait()
	succeeded := 0
	for _, err := range errs {
		if err == nil {
			succeeded++
			continue
		}
		wantCode(t, err, protocol.CodeSubjectOverlap)
	}
	if succeeded != 1 {
		t.Errorf("%d updates succeeded, want 1", succeeded)
	}
}

func TestAnUpdatedTopicIsDeletedAndItsNameStartsAnew(t *testing.T) {
	ctx, registry, _ := open(t)
	create(ctx, t, registry, "orders", 1)
	if _, _, err := registry.Update(ctx, protocol.TopicUpdate{Name: "orders", MaxProducers: new(3), Subjects: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	if err := registry.Delete(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	again := create(ctx, t, registry, "orders", 1)
	if again.Revision != 0 || again.MaxProducers != protocol.DefaultMaxProducers || len(again.Subjects) != 0 {
		t.Errorf("the next topic is %+v", again)
	}
}
