package frontend

import (
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
)

const testDeadline = 30 * time.Second

// roles drives a roleWatch, one round after the other.
type roles struct {
	*roleWatch
	now time.Time
	log []string
}

func newRoles() *roles { return &roles{roleWatch: newRoleWatch(testDeadline), now: start} }

func (r *roles) step(event any) {
	for _, c := range r.Step(r.now, event) {
		if c.silent == "" {
			r.log = append(r.log, c.role+" answers after "+c.after.String())
			continue
		}
		r.log = append(r.log, c.silent)
	}
}

// rounds begins some rounds, in each of which the same happens.
func (r *roles) rounds(n int, events ...any) {
	for range n {
		r.step(roundBegins{})
		for _, e := range events {
			r.step(e)
		}
		r.now = r.now.Add(probeInterval)
	}
}

func TestRolesThatDoNotAnswerAreNamed(t *testing.T) {
	const refused = int(testDeadline / probeInterval)
	s, q, r := roleAnswers{0}, roleAnswers{1}, roleAnswers{2}
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
			happens:  func(w *roles) { w.rounds(1, s, q, r); w.rounds(silentRounds+1, q, r, roleAbsent{0}) },
			log:      []string{"no stager has answered since 1970-01-12T13:46:40Z: none is connected to NATS, start one"},
			unready:  "no stager",
			suspects: "none is connected",
		},
		"one that went while it hung": {
			happens: func(w *roles) {
				w.rounds(1, s, q, r)
				w.rounds(silentRounds+1, q, r)
				w.rounds(2, q, r, roleAbsent{0})
			},
			log:     []string{"no stager has answered since 1970-01-12T13:46:40Z: one is connected to NATS but takes no messages, restart it"},
			unready: "none is connected", suspects: "none is connected",
		},
		"one that is back and hangs": {
			happens:  func(w *roles) { w.rounds(1, s, q, r); w.rounds(4, q, r, roleAbsent{0}); w.rounds(2, q, r) },
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
		"nothing that NATS did not take counts": {
			happens: func(w *roles) { w.rounds(1, s, q, r); w.rounds(1000, roundFails{}) },
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
			if status.unready != nil {
				unready = status.unready.Error()
			}
			if status.refusal != nil {
				refusal = string(status.refusal.answer)
			}
			for what, text := range map[string][2]string{
				"unready": {unready, c.unready}, "suspects": {status.suspects, c.suspects}, "refusal": {refusal, c.refusal},
			} {
				if (text[0] == "") != (text[1] == "") || !strings.Contains(text[0], text[1]) {
					t.Errorf("%s: %q, want %q", what, text[0], text[1])
				}
			}
		})
	}
}

func TestAShortDeadlineRefusesNothingWhileARoleRestarts(t *testing.T) {
	w := &roles{roleWatch: newRoleWatch(time.Millisecond), now: start}
	w.rounds(silentRounds)
	if w.Status().refusal != nil {
		t.Error("requests are refused before the role counts as silent")
	}
	w.rounds(1)
	if w.Status().refusal == nil {
		t.Error("requests are taken")
	}
}

func TestOnlyTheOutcomeThatIsNotKnownIsExplainedByRoles(t *testing.T) {
	w := newRoles()
	w.rounds(suspectRounds+1, roleAnswers{1}, roleAnswers{2})
	for code, explained := range map[protocol.Code]bool{protocol.CodeOutcomeUnknown: true, protocol.CodeFailed: false, protocol.CodeWrongLastID: false} {
		got := w.Status().explain(protocol.NewError(code, "ticket 1"))
		if got.Code != code || !strings.HasPrefix(got.Detail, "ticket 1") || strings.Contains(got.Detail, "stager") != explained {
			t.Errorf("%v", got)
		}
	}
}
