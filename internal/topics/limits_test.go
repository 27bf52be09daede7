package topics

import (
	"errors"
	"testing"

	"laneway.dev/pkg/protocol"
)

func TestTopicsAndPartitionsAreLimited(t *testing.T) {
	topics := func(n, partitions int) []protocol.Topic {
		all := make([]protocol.Topic, n)
		for i := range all {
			all[i].Partitions = partitions
		}
		return all
	}
	const many = 1000
	full := protocol.MaxAllPartitions / many
	for name, c := range map[string]struct {
		existing   []protocol.Topic
		partitions int
		room       bool
	}{
		"the first":                      {nil, protocol.MaxPartitions, true},
		"the last topic":                 {topics(protocol.MaxTopics-1, 1), 1, true},
		"a topic too many":               {topics(protocol.MaxTopics, 1), 1, false},
		"the last partitions":            {topics(full-1, many), many, true},
		"a partition too many":           {topics(full, many), 1, false},
		"partitions beyond what is left": {append(topics(full-1, many), topics(1, 200)...), many - 199, false},
	} {
		err := hasRoom(c.existing, c.partitions)
		if c.room != (err == nil) || !c.room && !errors.Is(err, protocol.NewError(protocol.CodeTooManyTopics, "")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
