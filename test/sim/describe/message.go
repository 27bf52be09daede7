// Package describe renders messages between processes and entries of the log as text for
// traces.
package describe

import (
	"fmt"
	"strings"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Message returns a message in one line: its kind, whose it is, and what it says of
// which tickets.
func Message(m messages.Message) string {
	switch m := m.(type) {
	case messages.Stage:
		return of("Stage", m.Epoch) + tickets(m.Batches, func(b *messages.StageBatch) ticket { return ticket{b.Lane, b.Number, b.Floor} })
	case messages.Refused:
		return of("Refused", m.Epoch) + join(m.Refusals, refusal)
	case messages.Holding:
		return of("Holding", m.Epoch) + m.Stager + " holds " + join(m.Held, held)
	case messages.Staged:
		return of("Staged", m.Epoch) + staged(m.Batches)
	case messages.Announce:
		return fmt.Sprintf("Announce of frontend epoch %d", m.Epoch)
	case messages.Announced:
		return fmt.Sprintf("Announced: frontend epoch %d is known", m.Epoch)
	case messages.Advance:
		return of("Advance", m.Epoch) + join(m.Lanes, func(l messages.LaneProgress) string {
			return fmt.Sprintf("%s floor %d, issued up to %d", l.Lane, l.Floor, l.Highest)
		})
	case messages.Missing:
		return of("Missing", m.Epoch) + join(m.Lanes, numbers)
	case messages.Fenced:
		return fmt.Sprintf("Fenced: there is epoch %d", m.Epoch)
	case messages.Release:
		return release(m)
	case messages.ReleaseAgain:
		return of("ReleaseAgain", m.Epoch) + join(m.Lanes, func(l messages.LaneNumbers) string { return numbers(l) + " and what follows" })
	case messages.Outdated:
		return of("Outdated", m.Epoch) + join(m.Results, func(r messages.OutdatedResult) string {
			return fmt.Sprintf("%s ticket %d in object %s", r.Lane, r.Number, r.Key)
		})
	case messages.Hello:
		return fmt.Sprintf("Hello of the log's owner, term %d", m.Term)
	case messages.Outcomes:
		return of("Outcomes", m.Epoch) + join(m.Outcomes, outcome)
	case messages.Committed:
		return fmt.Sprintf("Committed: entry %d", m.Sequence)
	case messages.Congested:
		return "Congested: " + m.Reason
	default:
		return archive(m)
	}
}

// archive returns a message between replicators and archivers.
func archive(m messages.Message) string {
	switch m := m.(type) {
	case messages.Archive:
		text := fmt.Sprintf("Archive: entries %d to %d, after %s", m.Base.End.Sequence+1, m.To.Sequence, manifest(m.Base.Manifest))
		if m.GiveUp {
			text += ", giving up what cannot be read"
		}
		if m.Retain != (messages.Retention{}) {
			text += fmt.Sprintf("; drops what is before offset %d, older than %s, or leaves %d bytes", m.Retain.Before, time.Unix(0, m.Retain.Cutoff).UTC(), m.Retain.Bytes)
		}
		if m.Kept != (messages.Kept{}) {
			text += fmt.Sprintf("; merged segments are bounded for a retention of %s and %d bytes", m.Kept.Age, m.Kept.Bytes)
		}
		return text
	case messages.Archiving:
		return "Archiving: entries after " + manifest(m.Base)
	case messages.Archived:
		text := fmt.Sprintf("Archived: manifest %s goes up to entry %d, after %s; records: %d, damaged: %d, missing: %d",
			m.History.Manifest, m.History.End.Sequence, manifest(m.Base), m.Records, m.Damaged, m.Missing)
		if m.History.Start > 0 {
			text += fmt.Sprintf("; the log starts at offset %d", m.History.Start)
		}
		return text
	case messages.ArchiveFailed:
		return fmt.Sprintf("ArchiveFailed: entries after %s: %s", manifest(m.Base), m.Reason)
	case messages.Truncate:
		return asked("Truncate", m.Asker) + fmt.Sprintf("request %d, before offset %d", m.Request, m.Before)
	case messages.Truncated:
		text := asked("Truncated", m.Asker) + fmt.Sprintf("request %d, the log starts at offset %d", m.Request, m.Start)
		if m.Code != protocol.CodeOK {
			text += ": " + failure(m.Code, m.Detail)
		}
		return text
	default:
		return producers(m)
	}
}

// asked begins what is said of a question of a frontend, or of its answer.
func asked(name string, asker uint64) string { return fmt.Sprintf("%s, asker %d: ", name, asker) }

func manifest(key string) string {
	if key == "" {
		return "no manifest"
	}
	return "manifest " + key
}

// producers returns a message of the producer API.
func producers(m messages.Message) string {
	switch m := m.(type) {
	case messages.FenceProducer:
		text := asked("FenceProducer", m.Asker) + fence(m.Fence)
		if m.IfKnown {
			text += ", if it is known"
		}
		return text
	case messages.ProducerFenced:
		text := asked("ProducerFenced", m.Asker) + fmt.Sprintf("epoch %d was asked for; %s", m.Fence, known(m.Producer))
		if m.Code != protocol.CodeOK {
			text += ": " + Code(m.Code)
		}
		return text
	case messages.ListProducers:
		return asked("ListProducers", m.Asker) + fmt.Sprintf("request %d", m.Request)
	case messages.Producers:
		return asked("Producers", m.Asker) + fmt.Sprintf("request %d: %s", m.Request, join(m.Producers, known))
	default:
		return fmt.Sprintf("%T", m)
	}
}

// Code returns the name of a code.
func Code(c protocol.Code) string {
	if c == protocol.CodeOK {
		return "OK"
	}
	return c.Kind().Name
}

func of(kind string, epoch uint64) string { return fmt.Sprintf("%s, frontend epoch %d: ", kind, epoch) }

func release(m messages.Release) string {
	text := fmt.Sprintf("Release, frontend epoch %d, sequencer epoch %d", m.Epoch, m.SequencerEpoch)
	if m.HelloTerm > 0 {
		text += fmt.Sprintf(", answers the Hello of term %d", m.HelloTerm)
	}
	if len(m.Batches) == 0 {
		return text
	}
	return text + ": " + staged(m.Batches)
}

func refusal(r messages.Refusal) string {
	return fmt.Sprintf("%s ticket %d, attempt %d: ", r.Lane, r.Number, r.Attempt) + failure(r.Code, r.Detail)
}

func held(h messages.Held) string {
	return fmt.Sprintf("%s ticket %d, attempt %d", h.Lane, h.Number, h.Attempt)
}

func failure(c protocol.Code, detail string) string {
	if detail == "" {
		return Code(c)
	}
	return fmt.Sprintf("%s (%s)", Code(c), detail)
}

func outcome(o messages.Outcome) string {
	text := fmt.Sprintf("%s ticket %d ", o.Lane, o.Number)
	switch {
	case o.Code != protocol.CodeOK:
		return text + failure(o.Code, o.Detail)
	case o.Duplicate:
		return text + fmt.Sprintf("is a duplicate of offset %d", o.Offset)
	default:
		return text + fmt.Sprintf("is at offset %d", o.Offset)
	}
}

func fence(f messages.ProducerFence) string {
	text := fmt.Sprintf("producer %d, epoch %d", f.ProducerID, f.ProducerEpoch)
	if f.Name != "" {
		text += fmt.Sprintf(", name %q", f.Name)
	}
	return text
}

func known(p messages.KnownProducer) string {
	if !p.HasLast {
		return fence(p.ProducerFence) + ", without a batch"
	}
	return fence(p.ProducerFence) + fmt.Sprintf(", last sequence %d", p.Last)
}

func join[T any](items []T, text func(T) string) string {
	all := make([]string, len(items))
	for i := range items {
		all[i] = text(items[i])
	}
	return strings.Join(all, "; ")
}
