package world

import (
	"time"

	"laneway.dev/pkg/protocol"
)

// Topic returns the topic of a world, whose partitions are spread over so many logs.
func Topic(partitions, logs int) protocol.Topic {
	return protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "orders", Partitions: partitions}, ID: 77, Logs: logs}
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
