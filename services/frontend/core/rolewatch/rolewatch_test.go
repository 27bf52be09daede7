package rolewatch

import (
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const testDeadline = 30 * time.Second

// roles drives a Watch, one round after the other.
type roles struct {
	*Watch
	now time.Time
	log []string
}

func newRoles() *roles { return &roles{Watch: New(testDeadline), now: time.Unix(1_000_000, 0)} }

func (r *roles) step(event any) {
	for _, c := range r.Step(r.now, event) {
		if c.Silent == "" {
			r.log = append(r.log, c.Role.Name+" answers after "+c.After.String())
			continue
		}
		r.log = append(r.log, c.Silent)
	}
}

// rounds begins some rounds, in each of which the same happens, and an archiver answers.
func (r *roles) rounds(n int, events ...any) {
	r.roundsWithoutArchiver(n, append(events, RoleAnswers{Role: 3})...)
}

func (r *roles) roundsWithoutArchiver(n int, events ...any) {
	for range n {
		r.step(RoundBegins{})
		for _, e := range events {
			r.step(e)
		}
		r.now = r.now.Add(ProbeInterval)
	}
}

func TestRolesThatDoNotAnswerAreNamed(t *testing.T) {
	const refused = int(testDeadline / ProbeInterval)
	s, q, r := RoleAnswers{Role: 0}, RoleAnswers{Role: 1}, RoleAnswers{Role: 2}
	for name, c := range map[string]struct {
		happens                    func(*roles)
		log                        []string
		unready, suspects, refusal string // what they contain; empty is none
	}{
		"all answer":     {happens: func(w *roles) { w.rounds(100, s, q, r) }},
		"at the start":   {happens: func(*roles) {}, unready: "no stager has answered yet; no sequencer has answered yet; no replicator has answered yet"},
		"one is missing": {happens: func(w *roles) { w.rounds(1, s, r) }, unready: ": no sequencer has answered yet; until"},
		"a late answer counts": {happens: func(w *roles) {
			w.rounds(1, s, q, r)
			for range 2 * silentRounds {
				w.rounds(silentRounds-1, s, r)
				w.rounds(1, s, q, r)
			}
		}},
		"a short silence is told to waiting producers only": {
			happens:  func(w *roles) { w.rounds(1, s, q, r); w.rounds(suspectRounds+1, s, q) },
			suspects: "no replicator has answered since 1970-01-12T13:46:40Z: one is connected to NATS but takes no messages, restart it",
		},
		"a long silence is told to all": {
			happens:  func(w *roles) { w.rounds(1, s, q, r); w.rounds(silentRounds+1, s, q) },
			log:      []string{"no replicator has answered since 1970-01-12T13:46:40Z: one is connected to NATS but takes no messages, restart it"},
			unready:  "no replicator has answered since 1970-01-12T13:46:40Z",
			suspects: "no replicator",
		},
		"one that is not there": {
			happens:  func(w *roles) { w.rounds(1, s, q, r); w.rounds(silentRounds+1, q, r, RoleAbsent{0}) },
			log:      []string{"no stager has answered since 1970-01-12T13:46:40Z: none is connected to NATS, start one"},
			unready:  "no stager",
			suspects: "none is connected",
		},
		"one that went while it hung": {
			happens: func(w *roles) {
				w.rounds(1, s, q, r)
				w.rounds(silentRounds+1, q, r)
				w.rounds(2, q, r, RoleAbsent{0})
			},
			log:     []string{"no stager has answered since 1970-01-12T13:46:40Z: one is connected to NATS but takes no messages, restart it"},
			unready: "none is connected", suspects: "none is connected",
		},
		"one that is back and hangs": {
			happens:  func(w *roles) { w.rounds(1, s, q, r); w.rounds(4, q, r, RoleAbsent{0}); w.rounds(2, q, r) },
			suspects: "no stager has answered since 1970-01-12T13:46:40Z: one is connected",
		},
		"several": {
			happens:  func(w *roles) { w.rounds(1, s, q, r); w.rounds(suspectRounds+1, r) },
			suspects: "restart it; no sequencer has",
		},
		"requests are taken until a deadline has passed": {
			happens:  func(w *roles) { w.rounds(1, s, q, r); w.rounds(refused, s, q) },
			log:      []string{"no replicator has answered since 1970-01-12T13:46:40Z: one is connected to NATS but takes no messages, restart it"},
			unready:  "no replicator",
			suspects: "no replicator",
		},
		"and are refused then": {
			happens:  func(w *roles) { w.rounds(1, s, q, r); w.rounds(refused+1, s, q) },
			log:      []string{"no replicator has answered since 1970-01-12T13:46:40Z: one is connected to NATS but takes no messages, restart it"},
			unready:  "no replicator",
			suspects: "no replicator",
			refusal:  "no replicator has answered since 1970-01-12T13:46:40Z",
		},
		"one that answers again": {
			happens: func(w *roles) { w.rounds(1, s, q, r); w.rounds(refused+1, s, q); w.step(r) },
			log: []string{
				"no replicator has answered since 1970-01-12T13:46:40Z: one is connected to NATS but takes no messages, restart it",
				"replicator answers after 30.5s",
			},
		},
		"archivers are not waited for": {
			happens: func(w *roles) { w.rounds(1, s, q, r); w.roundsWithoutArchiver(refused+1, s, q, r, RoleAbsent{3}) },
			log:     []string{"no archiver has answered since 1970-01-12T13:46:40Z: none is connected to NATS, start one"},
		},
		"nothing that NATS did not take counts": {
			happens: func(w *roles) { w.rounds(1, s, q, r); w.rounds(1000, RoundFails{}) },
		},
		"nor the time that the frontend itself was stopped": {
			happens: func(w *roles) { w.rounds(1, s, q, r); w.now = w.now.Add(time.Hour); w.rounds(1); w.rounds(1, s, q, r) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newRoles()
			c.happens(w)
			status := w.Status()
			if got, want := strings.Join(w.log, "\n"), strings.Join(c.log, "\n"); got != want {
				t.Errorf("logged:\n%s\nwant:\n%s", got, want)
			}
			var unready, refusal string
			if status.Unready != nil {
				unready = status.Unready.Error()
			}
			if status.Refusal != nil {
				refusal = string(status.Refusal.Answer)
			}
			for what, text := range map[string][2]string{
				"unready": {unready, c.unready}, "suspects": {status.Suspects, c.suspects}, "refusal": {refusal, c.refusal},
			} {
				if (text[0] == "") != (text[1] == "") || !strings.Contains(text[0], text[1]) {
					t.Errorf("%s: %q, want %q", what, text[0], text[1])
				}
			}
		})
	}
}

func TestAShortDeadlineRefusesNothingWhileARoleRestarts(t *testing.T) {
	w := &roles{Watch: New(time.Millisecond), now: time.Unix(1_000_000, 0)}
	w.rounds(silentRounds)
	if w.Status().Refusal != nil {
		t.Error("requests are refused before the role counts as silent")
	}
	w.rounds(1)
	if w.Status().Refusal == nil {
		t.Error("requests are taken")
	}
}

func TestOnlyTheOutcomeThatIsNotKnownIsExplainedByRoles(t *testing.T) {
	w := newRoles()
	w.rounds(suspectRounds+1, RoleAnswers{Role: 1}, RoleAnswers{Role: 2})
	for code, explained := range map[protocol.Code]bool{protocol.CodeOutcomeUnknown: true, protocol.CodeFailed: false, protocol.CodeWrongLastID: false} {
		got := w.Status().Explain(protocol.NewError(code, "ticket 1"))
		if got.Code != code || !strings.HasPrefix(got.Detail, "ticket 1") || strings.Contains(got.Detail, "stager") != explained {
			t.Errorf("%v", got)
		}
	}
}

func TestSilentArchiversAreCounted(t *testing.T) {
	w := newRoles()
	w.roundsWithoutArchiver(silentRounds+1, RoleAnswers{Role: 0}, RoleAnswers{Role: 1}, RoleAnswers{Role: 2})
	if status := w.Status(); status.Silent != [...]int64{0, 0, 0, 1} || status.Unready != nil || status.Suspects != "" {
		t.Errorf("%+v", status)
	}
}

func TestOnlyTheAnswersOfReplicatorsTellWhetherTheyArchive(t *testing.T) {
	w := newRoles()
	for _, c := range []struct {
		event any
		want  bool
	}{
		{RoleAnswers{Role: 0, Data: messages.ProbeArchives}, false},
		{RoleAnswers{Role: 2, Data: messages.ProbeArchives}, true},
		{RoleAnswers{Role: 3}, true},
		{RoundBegins{}, true},
		{RoleAbsent{Role: 2}, true},
		{RoleAnswers{Role: 2}, false},
	} {
		if w.step(c.event); w.Status().Archives != c.want {
			t.Errorf("after %+v: %t", c.event, w.Status().Archives)
		}
	}
}
