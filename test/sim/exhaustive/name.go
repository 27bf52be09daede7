package exhaustive

import "encoding/binary"

// name appends all that a world holds, but for what never changes. What is interned
// stands for itself by its number. (The walker could do the same, in ten times the time.
// A test compares the two.)
func (w *world) name(text []byte) []byte {
	text = numbers(text, w.beats, w.sends, bit(w.calm), w.givenUp, w.checks.id)
	text = numbers(text, w.left.lose, w.left.double, w.left.late, w.left.disturb, w.left.beats)
	for _, o := range w.owners {
		text = append(numbers(text, int(o.Epoch), len(o.Instance)), o.Instance...)
	}
	if w.log != nil {
		text = numbers(text, w.log.id)
	}
	text = numbers(text, -1, len(w.processes))
	for i := range w.processes {
		text = w.processes[i].name(text)
	}
	for i := range w.clients {
		c := &w.clients[i]
		text = numbers(text, c.sent, int(c.flying), c.acked, bit(c.broken))
		if c.window != nil {
			text = numbers(text, c.window.id)
		}
	}
	text = numbers(text, len(w.queues))
	for i := range w.queues {
		q := &w.queues[i]
		text = letters(numbers(text, q.from, q.to), q.letters)
	}
	text = letters(letters(text, w.uploads), w.ended)
	text = numbers(text, len(w.late))
	for _, a := range w.late {
		text = numbers(text, a.id)
	}
	return text
}

func (p *process) name(text []byte) []byte {
	if p.dead {
		return numbers(text, -1)
	}
	text = numbers(text, int(p.role), int(p.epoch), p.core.id, p.open, bit(p.ready))
	if p.disk.append != nil {
		text = numbers(text, p.disk.append.id)
	}
	text = numbers(text, -1, int(p.disk.read.From), p.disk.read.Limit, int(p.disk.acked), bit(p.disk.failed))
	return letters(text, p.had)
}

func letters(text []byte, all []*letter) []byte {
	text = numbers(text, len(all))
	for _, l := range all {
		text = numbers(text, l.id)
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
