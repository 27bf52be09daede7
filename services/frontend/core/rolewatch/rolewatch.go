// Package rolewatch decides which of the roles behind a frontend do not answer, and what
// that means for producers and for the readiness of the frontend. It is pure: time and
// what happens come in as events.
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
	// ProbeInterval is how often the other roles are asked whether they take messages.
	ProbeInterval = 500 * time.Millisecond
	// After suspectRounds in a row without an answer, errors about unknown outcomes name
	// the role. After silentRounds the frontend is not ready. A role that restarts is
	// silent for less. Rounds are counted instead of time, because a frontend that was
	// suspended has sent no probes.
	suspectRounds, silentRounds = 2, 10
)

// Roles are the roles without which no batch gets into the log, in the order in which a
// batch passes them, with the subjects of their probes. One probe reaches a role whatever
// partitions it serves.
var Roles = [...]struct{ Name, Probe string }{
	{"stager", messages.StageSubject},
	{"sequencer", messages.SequencerProbe},
	{"replicator", messages.ReplicatorProbe},
}

// Watch decides which roles do not answer. It belongs to one goroutine.
type Watch struct {
	refuseAfter int       // rounds in a row without an answer after which requests are refused
	roundAt     time.Time // when the present round began; zero without one
	roles       [len(Roles)]state
}

// state is what is known of one role, over all its instances.
type state struct {
	everAnswered bool      // it has answered since the frontend started
	answered     bool      // in the present round
	absent       bool      // NATS had no instance to deliver the probe of the last finished round to
	noInstance   bool      // the same of the present round
	missed       int       // finished rounds in a row without an answer
	since        time.Time // when the first of these began
}

// The events of a Watch.
type (
	// RoundBegins says that probes are sent to all roles.
	RoundBegins struct{}
	// RoundFails says that NATS did not take the probes. That proves nothing about roles.
	RoundFails struct{}
	// RoleAnswers says that an instance of a role, an index of Roles, has answered.
	RoleAnswers struct{ Role int }
	// RoleAbsent says that NATS has no instance of the role to deliver a probe to.
	RoleAbsent struct{ Role int }
)

// Change is something about a role that operators need to know.
type Change struct {
	Role   string
	Silent string        // since when and why it does not answer; empty if it answers again
	After  time.Duration // of silence
}

// New returns a watch that refuses produce requests once a role has been silent for a whole
// produce deadline, because they would wait for the deadline in vain. Until then they are
// taken: if the role only restarts, they may still be committed in time.
func New(deadline time.Duration) *Watch {
	rounds := int((deadline + ProbeInterval - 1) / ProbeInterval)
	return &Watch{refuseAfter: max(rounds, silentRounds)}
}

// Step takes one event and returns what is to be logged.
func (w *Watch) Step(now time.Time, event any) (changes []Change) {
	switch e := event.(type) {
	case RoundBegins:
		for i := range w.roles {
			if w.missed(&w.roles[i]) {
				changes = append(changes, Change{Role: Roles[i].Name, Silent: w.silence(i)})
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
			changes = append(changes, Change{Role: Roles[e.Role].Name, After: now.Sub(r.since)})
		}
		*r = state{everAnswered: true, answered: true}
	}
	return changes
}

// missed ends the present round for a role and reports whether that makes it silent.
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

// silences joins the silences of the roles that have missed at least so many rounds in a row.
func (w *Watch) silences(rounds int) string {
	var all []string
	for i := range w.roles {
		if w.roles[i].missed >= rounds {
			all = append(all, w.silence(i))
		}
	}
	return strings.Join(all, "; ")
}

// Status is what a Watch knows at some time. It is immutable.
type Status struct {
	Silent   [len(Roles)]int64 // 1 for a role that does not answer, as the metric shows it
	Unready  *protocol.Error   // nil if every role answers
	Suspects string            // the roles that a batch may be waiting for; may be empty
	Refusal  *core.Rejection   // of produce requests; nil while they are taken
}

// Status returns what is known now.
func (w *Watch) Status() *Status {
	s := &Status{Suspects: w.silences(suspectRounds)}
	var unready []string
	for i := range w.roles {
		r := &w.roles[i]
		switch {
		case r.missed >= silentRounds:
			s.Silent[i] = 1
			unready = append(unready, w.silence(i))
		case !r.everAnswered:
			unready = append(unready, "no "+Roles[i].Name+" has answered yet")
		}
	}
	if len(unready) > 0 {
		s.Unready = protocol.NewError(protocol.CodeUnavailable,
			strings.Join(unready, "; ")+"; until then nothing can be produced, but what is stored can be fetched")
	}
	if silences := w.silences(w.refuseAfter); silences != "" {
		s.Refusal = core.NewRejection(protocol.NewError(protocol.CodeUnavailable, silences+"; the batch was not taken"))
	}
	return s
}

// Explain adds the roles that a batch may have waited for to an error which says that its
// outcome is not known. It returns any other error as it is.
func (s *Status) Explain(err *protocol.Error) *protocol.Error {
	if err.Code != protocol.CodeOutcomeUnknown || s.Suspects == "" {
		return err
	}
	return protocol.NewError(err.Code, err.Detail+"; "+s.Suspects)
}
