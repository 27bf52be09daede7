package topics

import (
	"errors"
	"testing"

	"laneway.dev/pkg/messages"
)

func TestTopicsAndPartitionsAreLimited(t *testing.T) {
	topics := func(n, partitions int) []messages.Topic {
		all := make([]messages.Topic, n)
		for i := range all {
			all[i].Partitions = partitions
		}
		return all
	}
	full := messages.MaxAllPartitions / messages.MaxPartitions
	for name, c := range map[string]struct {
		existing   []messages.Topic
		partitions int
		room       bool
	}{
		"the first":                      {nil, messages.MaxPartitions, true},
		"the last topic":                 {topics(messages.MaxTopics-1, 1), 1, true},
		"a topic too many":               {topics(messages.MaxTopics, 1), 1, false},
		"the last partitions":            {topics(full-1, messages.MaxPartitions), messages.MaxPartitions, true},
		"a partition too many":           {topics(full, messages.MaxPartitions), 1, false},
		"partitions beyond what is left": {append(topics(full-1, messages.MaxPartitions), topics(1, 200)...), 57, false},
	} {
		err := hasRoom(c.existing, c.partitions)
		if c.room != (err == nil) || !c.room && !errors.Is(err, messages.NewError(messages.CodeTooManyTopics, "")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
