package frontend

import (
	"fmt"
	"strings"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	// probeInterval is how often the other roles are asked whether they take messages.
	probeInterval = 500 * time.Millisecond
	// suspectRounds is after how many rounds in a row without an answer a role is named
	// to producers that wait in vain, silentRounds after how many it makes the frontend
	// unready. A role that restarts is silent for less. Rounds are counted, not time: a
	// frontend that was stopped has asked nothing.
	suspectRounds, silentRounds = 2, 10
)

// downstream are the roles without which no batch gets into the log, in the order in
// which it passes them, with the subjects of their probes. One question reaches a role
// whatever partitions there are.
var downstream = [...]struct{ role, probe string }{
	{"stager", messages.StageSubject},
	{"sequencer", messages.SequencerProbe},
	{"replicator", messages.ReplicatorProbe},
}

// roleWatch decides which roles do not answer. It is pure: what happens and time come
// in. It belongs to one goroutine.
type roleWatch struct {
	refuseAfter int       // rounds in a row without an answer after which requests are refused
	asked       time.Time // when the present round began; zero without one
	roles       [len(downstream)]roleState
}

// roleState is what is known of one role, over all its instances.
type roleState struct {
	heard    bool      // it has answered since the frontend started
	answered bool      // in the present round
	absent   bool      // NATS had no instance to deliver the probe of the last finished round to
	unserved bool      // the same of the present round
	missed   int       // finished rounds in a row without an answer
	since    time.Time // when the first of these began
}

// The events of a roleWatch.
type (
	// roundBegins says that all roles are asked again.
	roundBegins struct{}
	// roundFails says that NATS did not take the probes, which proves nothing about roles.
	roundFails struct{}
	// roleAnswers comes from an instance of a role, an index of downstream.
	roleAnswers struct{ role int }
	// roleAbsent comes from NATS: it has no instance of the role to deliver a probe to.
	roleAbsent struct{ role int }
)

// roleChange is what an operator has to know of a role.
type roleChange struct {
	role   string
	silent string        // since when it does not answer; empty if it answers again
	after  time.Duration // of silence
}

// newRoleWatch returns a watch that refuses requests as soon as nothing has been
// committed for a whole deadline: they would end like those before them, but later. What
// arrives until then may still be committed in time, if the role is only restarting.
func newRoleWatch(deadline time.Duration) *roleWatch {
	rounds := int((deadline + probeInterval - 1) / probeInterval)
	return &roleWatch{refuseAfter: max(rounds, silentRounds)}
}

// Step takes one event and returns what is to be logged.
func (w *roleWatch) Step(now time.Time, event any) (changes []roleChange) {
	switch e := event.(type) {
	case roundBegins:
		for i := range w.roles {
			if w.missed(&w.roles[i]) {
				changes = append(changes, roleChange{role: downstream[i].role, silent: w.silence(i)})
			}
		}
		w.asked = now
	case roundFails:
		w.asked = time.Time{}
	case roleAbsent:
		w.roles[e.role].unserved = true
	case roleAnswers:
		r := &w.roles[e.role]
		if r.missed >= silentRounds {
			changes = append(changes, roleChange{role: downstream[e.role].role, after: now.Sub(r.since)})
		}
		*r = roleState{heard: true, answered: true}
	}
	return changes
}

// missed ends the present round for a role and reports whether that makes it silent.
func (w *roleWatch) missed(r *roleState) bool {
	answered, unserved := r.answered, r.unserved
	r.answered, r.unserved = false, false
	if answered || w.asked.IsZero() {
		return false
	}
	if r.missed++; r.missed == 1 {
		r.since = w.asked
	}
	r.absent = unserved
	return r.missed == silentRounds
}

// silence says since when a role has not answered.
func (w *roleWatch) silence(i int) string {
	r := &w.roles[i]
	why := "one is connected to NATS but takes no messages, restart it"
	if r.absent {
		why = "none is connected to NATS, start one"
	}
	return fmt.Sprintf("no %s has answered since %s: %s", downstream[i].role, r.since.UTC().Format(time.RFC3339), why)
}

// silences joins what there is to say of the roles that have missed some rounds in a row.
func (w *roleWatch) silences(rounds int) string {
	var all []string
	for i := range w.roles {
		if w.roles[i].missed >= rounds {
			all = append(all, w.silence(i))
		}
	}
	return strings.Join(all, "; ")
}

// roleStatus is what a roleWatch knows. It does not change.
type roleStatus struct {
	silent   [len(downstream)]int64 // 1 for a role that does not answer, as the metric shows it
	unready  *protocol.Error        // nil if every role answers
	suspects string                 // the roles that a batch may be waiting for; may be empty
	refusal  *rejection             // of produce requests; nil while they are taken
}

// Status returns what is known now.
func (w *roleWatch) Status() *roleStatus {
	s := &roleStatus{suspects: w.silences(suspectRounds)}
	var unready []string
	for i := range w.roles {
		r := &w.roles[i]
		switch {
		case r.missed >= silentRounds:
			s.silent[i] = 1
			unready = append(unready, w.silence(i))
		case !r.heard:
			unready = append(unready, "no "+downstream[i].role+" has answered yet")
		}
	}
	if len(unready) > 0 {
		s.unready = protocol.NewError(protocol.CodeUnavailable,
			strings.Join(unready, "; ")+"; until then nothing can be produced, but what is stored can be fetched")
	}
	if silences := w.silences(w.refuseAfter); silences != "" {
		err := protocol.NewError(protocol.CodeUnavailable, silences+"; the batch was not taken")
		s.refusal = &rejection{err, protocol.EncodeErrorResponse(err)}
	}
	return s
}

// explain adds to an error of a batch whose outcome is not known what it may have waited for.
func (s *roleStatus) explain(err *protocol.Error) *protocol.Error {
	if err.Code != protocol.CodeOutcomeUnknown || s.suspects == "" {
		return err
	}
	return protocol.NewError(err.Code, err.Detail+"; "+s.suspects)
}
