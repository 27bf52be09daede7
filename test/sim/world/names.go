package world

import (
	"time"

	"laneway.dev/pkg/protocol"
)

// Topic returns the topic of a world, whose partitions are spread over so many logs.
func Topic(partitions, logs int) protocol.Topic {
	return protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "orders", Partitions: partitions}, ID: 77, Logs: logs}
}

// Recreated returns two topics of one partition. The second one may be created under the name of the first
// one once that is deleted.
func Recreated(logs int) (before, after protocol.Topic) {
	before = protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "bills", Partitions: 1}, ID: 78, Logs: logs}
	after = before
	after.ID++
	return before, after
}

// Beginning is when the log was created.
var Beginning = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// Role is what a process does.
type Role int

// The roles.
const (
	NoRole Role = iota
	Frontend
	Stager
	Sequencer
	Replicator
	Archiver
	roles
)

// Roles are the roles of a world without archiving.
var Roles = []Role{Frontend, Stager, Sequencer, Replicator}

func (r Role) String() string {
	return [...]string{"none", "frontend", "stager", "sequencer", "replicator", "archiver"}[r]
}
