package topics

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/protocol"
)

func TestATopicWhoseRecordIsLostIsKnownByItsLogs(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := FromLogs(ctx, conn, js, "a"); !errors.Is(err, protocol.NewError(protocol.CodeUnknownTopic, "")) {
		t.Errorf("without logs: %v", err)
	}
	for _, p := range []protocol.Partition{
		{Topic: "a", TopicID: 1<<63 | 1, Number: 0},
		{Topic: "a", TopicID: 1<<63 | 1, Number: 2, Incarnation: 3},
		{Topic: "a-1", TopicID: 5, Number: 7},
		{Topic: "ab", TopicID: 6, Number: 9},
	} {
		if err := partitionlog.New(conn, js, p).Create(ctx, 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	topic, err := FromLogs(ctx, conn, js, "a")
	if err != nil || topic.Name != "a" || topic.ID != 1<<63|1 || topic.Partitions != 3 || !slices.Equal(topic.Incarnations, []uint32{0, 0, 3}) {
		t.Errorf("the topic is %+v, %v", topic, err)
	}
	if err := partitionlog.New(conn, js, protocol.Partition{Topic: "a", TopicID: 8, Number: 1}).Create(ctx, 1, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := FromLogs(ctx, conn, js, "a"); err == nil {
		t.Error("logs of two topics of the name are taken for one")
	}
}
