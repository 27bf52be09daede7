package topics_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/protocol"
)

func wantOverlap(t *testing.T, err error, with string) {
	t.Helper()
	wantCode(t, err, protocol.CodeSubjectOverlap)
	if !strings.Contains(err.Error(), with) {
		t.Errorf("error %v, want one that names %s", err, with)
	}
}

func TestSubjectsAreFreeAfterDeletion(t *testing.T) {
	ctx, registry, _ := open(t)
	if _, err := registry.Create(ctx, protocol.TopicConfig{Name: "orders", Subjects: []string{"orders.>", "returns"}}); err != nil {
		t.Fatal(err)
	}
	got, err := registry.Get(ctx, "orders")
	if err != nil || strings.Join(got.Subjects, " ") != "orders.> returns" {
		t.Fatalf("topic %+v, error %v; want its subjects", got, err)
	}
	overlapping := protocol.TopicConfig{Name: "news", Subjects: []string{"news", "orders.*.new"}}
	_, err = registry.Create(ctx, overlapping)
	wantOverlap(t, err, "orders.*.new overlaps with orders.> of topic orders")
	if _, err := registry.Create(ctx, protocol.TopicConfig{Name: "beside", Subjects: []string{"orders", "returns.>"}}); err != nil {
		t.Errorf("subjects that share no message are refused: %v", err)
	}
	if err := registry.Delete(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Create(ctx, overlapping); err != nil {
		t.Errorf("the subjects of a deleted topic are not free: %v", err)
	}
}

func TestSubjectsOfAJetStreamStreamAreRefused(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range []jetstream.StreamConfig{
		{Name: "OTHERS", Subjects: []string{"other.>"}},
		{Name: "ORDERS", Subjects: []string{"wanted", "orders.*.new"}},
		{Name: "mirror", Mirror: &jetstream.StreamSource{Name: "OTHERS"}},
		{Name: "sourced", Sources: []*jetstream.StreamSource{{Name: "OTHERS"}}},
	} {
		if _, err := js.CreateStream(ctx, config); err != nil {
			t.Fatal(err)
		}
	}
	for _, subject := range []string{"orders.>", "orders.eu.new", "orders.eu.*", "orders.*.*"} {
		_, err := registry.Create(ctx, protocol.TopicConfig{Name: "orders", Subjects: []string{"mine", subject}})
		wantOverlap(t, err, subject+" overlaps with orders.*.new of the JetStream stream ORDERS")
	}
	// Streams that listen to nothing do not matter, whatever they are called.
	free := protocol.TopicConfig{Name: "orders", Subjects: []string{"orders", "orders.eu", "mirror", "sourced"}}
	if _, err := registry.Create(ctx, free); err != nil {
		t.Error(err)
	}
}

func TestOnlyOneOfOverlappingTopicsIsCreated(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const processes = 8
	var registries []*topics.Registry
	for range processes {
		r, err := topics.Open(ctx, conn, js)
		if err != nil {
			t.Fatal(err)
		}
		registries = append(registries, r)
	}
	errs := make([]error, 2*processes)
	var wait sync.WaitGroup
	for n, r := range registries {
		wait.Go(func() {
			_, errs[n] = r.Create(ctx, protocol.TopicConfig{Name: fmt.Sprintf("rival-%d", n), Subjects: []string{"orders.>"}})
		})
		wait.Go(func() {
			_, errs[processes+n] = r.Create(ctx, protocol.TopicConfig{Name: fmt.Sprintf("peer-%d", n), Subjects: []string{fmt.Sprintf("peers.%d", n)}})
		})
	}
	wait.Wait()
	created := 0
	for n, err := range errs {
		switch {
		case err == nil && n < processes:
			created++
		case err != nil && (n >= processes || !errors.Is(err, protocol.NewError(protocol.CodeSubjectOverlap, ""))):
			t.Errorf("creation %d: %v", n, err)
		}
	}
	all, err := registries[0].List(ctx)
	if err != nil || created != 1 || len(all) != processes+1 {
		t.Errorf("%d of the topics that overlap were created, %d topics are there, error %v; want 1 and %d", created, len(all), err, processes+1)
	}
	if logs, err := partitionlog.List(ctx, conn, js, partitionlog.Which{}); err != nil || len(logs) != processes+1 {
		t.Errorf("%d logs are there, want one for each topic, %v", len(logs), err)
	}
}

func TestOnlyOneTopicOfANameIsCreated(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var registries []*topics.Registry
	for range 4 {
		r, err := topics.Open(ctx, conn, js)
		if err != nil {
			t.Fatal(err)
		}
		registries = append(registries, r)
	}
	for round := range 20 {
		name := fmt.Sprintf("same-%d", round)
		var wait sync.WaitGroup
		winners := make([]protocol.Topic, len(registries))
		for n, r := range registries {
			wait.Go(func() {
				topic, err := r.Create(ctx, protocol.TopicConfig{Name: name})
				switch {
				case err == nil:
					winners[n] = topic
				case !errors.Is(err, protocol.NewError(protocol.CodeTopicExists, "")):
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		wait.Wait()
		winners = slices.DeleteFunc(winners, func(t protocol.Topic) bool { return t.Name == "" })
		if len(winners) != 1 {
			t.Fatalf("%d topics of one name were created", len(winners))
		}
		if _, err := partitionlog.New(conn, js, winners[0].Partition(0)).State(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestACreationThatFailsLeavesNothingBehind(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	_, err = registry.Create(ctx, protocol.TopicConfig{Name: "orders", Partitions: 3, Replicas: 3}) // by one server
	if !errors.Is(err, protocol.NewError(protocol.CodeInvalidRequest, "")) {
		t.Fatal(err)
	}
	if all, err := registry.List(ctx); err != nil || len(all) != 0 {
		t.Errorf("topics %v, %v", all, err)
	}
	if _, err := registry.Create(ctx, protocol.TopicConfig{Name: "orders", Partitions: 3}); err != nil {
		t.Error(err)
	}
}
