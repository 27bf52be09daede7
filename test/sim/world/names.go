package world

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Partition is the partition that is simulated.
var Partition = protocol.Partition{Topic: "orders", TopicID: 77}

// Beginning is when the log was created.
var Beginning = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

var (
	sequencerSubject  = messages.SequencerSubject(Partition)
	replicatorSubject = messages.ReplicatorSubject(Partition)
	committedSubject  = messages.CommittedSubject(Partition)
)

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
