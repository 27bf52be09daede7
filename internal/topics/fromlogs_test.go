package topics

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestATopicWhoseRecordIsLostIsKnownByItsLogs(t *testing.T) {
	for _, number := range []int{1, DefaultLogs, 9} {
		t.Run(fmt.Sprint(number, " logs"), func(t *testing.T) {
			conn, js := embeddedtest.Start(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			registry, err := Open(ctx, conn, js)
			if err == nil {
				_, err = registry.DecideLogs(ctx, number)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := FromLogs(ctx, conn, js, "a"); !errors.Is(err, protocol.NewError(protocol.CodeUnknownTopic, "")) {
				t.Errorf("without logs: %v", err)
			}
			a := protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "a"}, ID: 1<<63 | 1, Logs: number, Incarnations: []uint32{0, 0, 3}}
			b := protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "a-1"}, ID: 5, Logs: number}
			c := protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "ab"}, ID: 6, Logs: number}
			for _, p := range []protocol.Partition{a.Partition(0), a.Partition(2), b.Partition(7), c.Partition(9)} {
				if err := partitionlog.New(conn, js, p).Create(ctx, 1, 0); err != nil {
					t.Fatal(err)
				}
			}
			topic, err := FromLogs(ctx, conn, js, "a")
			if err != nil || topic.Name != "a" || topic.ID != a.ID || topic.Partitions != 3 || topic.Partition(0) != a.Partition(0) || topic.Partition(2) != a.Partition(2) {
				t.Errorf("the topic is %+v, %v", topic, err)
			}
			if err := partitionlog.New(conn, js, protocol.Topic{TopicConfig: a.TopicConfig, ID: 8, Logs: number}.Partition(1)).Create(ctx, 1, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := FromLogs(ctx, conn, js, "a"); err == nil {
				t.Error("logs of two topics of the name are taken for one")
			}
		})
	}
}

func TestLogThatIsNotWhereItsNumberSaysIsRefused(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	registry, err := Open(ctx, conn, js)
	if err == nil {
		_, err = registry.DecideLogs(ctx, 2)
	}
	p := protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "a"}, ID: 1, Logs: 2}.Partition(0)
	p.Log = 1 - p.Log
	if err == nil {
		err = partitionlog.New(conn, js, p).Create(ctx, 1, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if topic, err := FromLogs(ctx, conn, js, "a"); err == nil || !strings.Contains(err.Error(), "is in "+messages.JournalStream(p.Log)) {
		t.Errorf("the topic is %+v, %v", topic, err)
	}
}
