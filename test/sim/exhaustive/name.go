package exhaustive

import (
	"encoding/binary"

	"laneway.dev/test/sim/world"
)

// name appends everything in a schedule that can change. An interned value is
// represented by its number. The walker would distinguish the same worlds, in ten times
// the time; a test compares the two.
func (s *schedule) name(text []byte) []byte {
	text = numbers(text, s.beats, s.sends, bit(s.calm), s.checks.id)
	text = numbers(text, s.left.lose, s.left.double, s.left.late, s.left.disturb, s.left.beats)
	for i := range s.Registry.Assignments {
		o := &s.Registry.Assignments[i]
		text = append(numbers(text, int(o.Epoch), len(o.Instance)), o.Instance...)
	}
	text = numbers(text, s.log().Committed[s.log().Last()-1].ID, len(s.Processes))
	for i, p := range s.Processes {
		text = processName(text, p)
		text = s.sides[i].name(text)
	}
	for n, i := range s.Instances {
		text = numbers(text, i.Next, i.Acked, int(s.senders[n].flying), bit(s.senders[n].broken))
		if i.Window != nil {
			text = numbers(text, i.Window.(*state).id)
		}
	}
	text = numbers(text, len(s.queues))
	for i := range s.queues {
		q := &s.queues[i]
		text = numbers(text, q.from, q.to, len(q.items))
		for _, item := range q.items {
			text = numbers(text, item.id())
		}
	}
	text = ids(ids(text, s.uploads), s.ended)
	text = numbers(text, len(s.late))
	for _, a := range s.late {
		text = numbers(text, a.id)
	}
	return text
}

func processName(text []byte, p *world.Process) []byte {
	if p.Dead {
		return numbers(text, -1)
	}
	text = numbers(text, int(p.Role), int(p.Epoch), p.Machine.(*state).id, p.Stats.Open, bit(p.Shares[0].Ready), len(p.Earlier))
	for _, epoch := range p.Earlier {
		text = numbers(text, int(epoch))
	}
	return text
}

func (d *side) name(text []byte) []byte {
	if d.append != nil {
		text = numbers(text, d.append.id)
	}
	text = numbers(text, -1, int(d.read.From), d.read.Limit, int(d.acked), bit(d.failed))
	return ids(text, d.had)
}

// id returns the number of an item. Those of answers are negative.
func (i item) id() int {
	if i.answer != nil {
		return -i.answer.id
	}
	return i.message.ID
}

func ids(text []byte, all []*world.Message) []byte {
	text = numbers(text, len(all))
	for _, m := range all {
		text = numbers(text, m.ID)
	}
	return text
}

func numbers(text []byte, all ...int) []byte {
	for _, n := range all {
		text = binary.AppendVarint(text, int64(n))
	}
	return text
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
