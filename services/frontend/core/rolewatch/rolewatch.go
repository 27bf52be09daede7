// Package rolewatch decides which of the roles behind a frontend do not answer, and what
// that means for producers and for the readiness of the frontend. It is pure: events and
// time are passed in.
//
// The frontend probes each role every 500 ms with an empty message. Example: the only
// sequencer stops at 12:00:00. From 12:00:01 on, answers with OUTCOME_UNKNOWN name the
// sequencer as a possible cause. At 12:00:05 the frontend becomes unready. With a deadline
// of 30 s, produce requests are rejected at once from 12:00:30 on. The first answer of a
// sequencer ends all of this.
package rolewatch

import (
	"fmt"
	"strings"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
)

const (
	// ProbeInterval is how often the other roles are probed.
	ProbeInterval = 500 * time.Millisecond
	// After suspectRounds in a row without an answer, errors about unknown outcomes name the
	// role. After silentRounds, which take longer than a restart, the frontend is not ready.
	// Rounds are counted rather than time, because a suspended frontend sends no probes.
	suspectRounds, silentRounds = 2, 10
)

// Role is a role that is probed.
type Role struct {
	Name  string
	Probe string // its subject
	// Background reports that no batch passes the role on its way to the log. Without it, logs
	// accept batches until they are full, so it affects neither readiness nor requests.
	Background bool
}

// Roles are the roles that are probed. Those that a batch passes on its way to the log come first,
// in that order. A probe reaches any instance of a role, whatever partitions that instance serves.
var Roles = [...]Role{
	{Name: "stager", Probe: messages.StageSubject},
	{Name: "sequencer", Probe: messages.SequencerProbe},
	{Name: "replicator", Probe: messages.ReplicatorProbe},
	{Name: "archiver", Probe: messages.ArchiveSubject, Background: true},
}

// Watch decides which roles do not answer. It belongs to one goroutine.
type Watch struct {
	refuseAfter int       // rounds in a row without an answer after which requests are refused
	roundAt     time.Time // when the current round started; zero if none is running
	roles       [len(Roles)]state
	archives    bool // by the last answer of a replicator
}

// state is the state of one role, over all of its instances.
type state struct {
	everAnswered bool      // since the frontend started
	answered     bool      // in the current round
	absent       bool      // in the last finished round, NATS had no subscriber for the probe
	noInstance   bool      // the same for the current round
	missed       int       // finished rounds in a row without an answer
	since        time.Time // start of the first of these
}

// The events of a Watch.
type (
	// RoundBegins reports that probes are sent to all roles.
	RoundBegins struct{}
	// RoundFails reports that the probes could not be sent. It proves nothing about the roles.
	RoundFails struct{}
	// RoleAnswers reports that an instance of a role, an index of Roles, has answered.
	RoleAnswers struct {
		Role int
		Data string // of the answer
	}
	// RoleAbsent reports that NATS has no subscriber for the probe of a role.
	RoleAbsent struct{ Role int }
)

// Change is a change of a role's state, for the operator's log.
type Change struct {
	Role   *Role
	Silent string        // since when and why it does not answer; empty if it answers again
	After  time.Duration // length of the silence that has ended
}

// New returns a watch that rejects produce requests once a role has been silent for a whole
// produce deadline: they would wait for their deadline and then fail. Before that they are
// accepted, because the role may only be restarting.
func New(deadline time.Duration) *Watch {
	rounds := int((deadline + ProbeInterval - 1) / ProbeInterval)
	return &Watch{refuseAfter: max(rounds, silentRounds)}
}

// Step handles one event and returns the changes to log.
func (w *Watch) Step(now time.Time, event any) (changes []Change) {
	switch e := event.(type) {
	case RoundBegins:
		for i := range w.roles {
			if w.missed(&w.roles[i]) {
				changes = append(changes, Change{Role: &Roles[i], Silent: w.silence(i)})
			}
		}
		w.roundAt = now
	case RoundFails:
		w.roundAt = time.Time{}
	case RoleAbsent:
		w.roles[e.Role].noInstance = true
	case RoleAnswers:
		r := &w.roles[e.Role]
		if r.missed >= silentRounds {
			changes = append(changes, Change{Role: &Roles[e.Role], After: now.Sub(r.since)})
		}
		if Roles[e.Role].Probe == messages.ReplicatorProbe {
			w.archives = e.Data == messages.ProbeArchives
		}
		*r = state{everAnswered: true, answered: true}
	}
	return changes
}

// missed ends the current round for a role, and reports whether the role has just become
// silent.
func (w *Watch) missed(r *state) bool {
	answered, unserved := r.answered, r.noInstance
	r.answered, r.noInstance = false, false
	if answered || w.roundAt.IsZero() {
		return false
	}
	if r.missed++; r.missed == 1 {
		r.since = w.roundAt
	}
	r.absent = unserved
	return r.missed == silentRounds
}

// silence returns since when a role has not answered, and why.
func (w *Watch) silence(i int) string {
	r := &w.roles[i]
	why := "one is connected to NATS but takes no messages, restart it"
	if r.absent {
		why = "none is connected to NATS, start one"
	}
	return fmt.Sprintf("no %s has answered since %s: %s", Roles[i].Name, r.since.UTC().Format(time.RFC3339), why)
}

// silences describes the roles that have missed at least this many rounds in a row, and that
// batches pass.
func (w *Watch) silences(rounds int) string {
	var all []string
	for i := range w.roles {
		if w.roles[i].missed >= rounds && !Roles[i].Background {
			all = append(all, w.silence(i))
		}
	}
	return strings.Join(all, "; ")
}

// Status is the state of a Watch at one time. It is immutable.
type Status struct {
	Silent   [len(Roles)]int64 // 1 for a role that does not answer, as the metric shows it
	Unready  *protocol.Error   // nil if every role answers that batches pass
	Suspects string            // describes the roles that a batch may be waiting for; may be empty
	Refusal  *core.Rejection   // of produce requests; nil while they are accepted
	Archives bool              // logs are archived, as far as known
}

// Status returns the current state.
func (w *Watch) Status() *Status {
	s := &Status{Suspects: w.silences(suspectRounds), Archives: w.archives}
	var unready []string
	for i := range w.roles {
		r := &w.roles[i]
		silent := r.missed >= silentRounds
		if silent {
			s.Silent[i] = 1
		}
		switch {
		case Roles[i].Background:
		case silent:
			unready = append(unready, w.silence(i))
		case !r.everAnswered:
			unready = append(unready, "no "+Roles[i].Name+" has answered yet")
		}
	}
	if len(unready) > 0 {
		s.Unready = protocol.NewError(protocol.CodeUnavailable,
			strings.Join(unready, "; ")+"; until then produce requests fail, and fetches work")
	}
	if silences := w.silences(w.refuseAfter); silences != "" {
		s.Refusal = core.NewRejection(protocol.NewError(protocol.CodeUnavailable, silences+"; the batch was not taken"))
	}
	return s
}

// Explain adds the suspected roles to an error with the code OUTCOME_UNKNOWN. It returns any
// other error unchanged.
func (s *Status) Explain(err *protocol.Error) *protocol.Error {
	if err.Code != protocol.CodeOutcomeUnknown || s.Suspects == "" {
		return err
	}
	return protocol.NewError(err.Code, err.Detail+"; "+s.Suspects)
}
