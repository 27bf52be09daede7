package random

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"
	"time"
)

// Sizes of the picture, in pixels.
const (
	perSecond   = 160.0
	rowHeight   = 5.0
	laneGap     = 22.0
	leftMargin  = 150.0
	topMargin   = 250.0
	rightMargin = 160.0  // room for what happens last
	leastWidth  = 1200.0 // for the legend
)

// stages are the parts of a ticket's way, in their order, with their colours. Each
// part is the time between two things that happen to the ticket.
var stages = []struct{ name, colour string }{
	{"staging", "#f4a259"},
	{"waits for its turn", "#f6d55c"},
	{"with the replicator", "#3d7ea6"},
	{"in the log", "#5cb85c"},
}

// SVG returns a picture of the run. Each ticket has a row in its lane, in which time
// runs from left to right. What happened to processes is drawn across all lanes. Each
// part has a tooltip.
func (t *Trace) SVG() []byte {
	lanes := map[string][]*journey{}
	for _, j := range t.events.order {
		lane := t.place(j) + j.Lane
		lanes[lane] = append(lanes[lane], j)
	}
	height := topMargin + laneGap
	for _, all := range lanes {
		height += laneGap + rowHeight*float64(len(all))
	}
	p := &picture{end: t.events.end, height: height}
	p.add(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" font-family="sans-serif" font-size="10">`, max(leastWidth, p.x(p.end)+rightMargin), height)
	p.add(`<rect width="100%%" height="100%%" fill="white"/>`)
	p.add(`<text x="6" y="16" font-size="13" font-weight="bold">%s</text>`, html.EscapeString(t.title))
	p.legend()
	p.axis()
	p.marks(t.events.marks)
	y := topMargin
	for _, lane := range sortedKeys(lanes) {
		y += laneGap
		p.add(`<text x="6" y="%.1f" font-size="13" font-weight="bold">%s</text>`, y+8, html.EscapeString(lane))
		for _, j := range lanes[lane] {
			p.row(y, t.place(j)+j.String(), j)
			y += rowHeight
		}
	}
	p.add(`</svg>`)
	return p.text.Bytes()
}

// place names the partition of a ticket, if there are several.
func (t *Trace) place(j *journey) string {
	if !t.several {
		return ""
	}
	return j.partition.String() + ": "
}

// picture is an SVG that is being made.
type picture struct {
	text   bytes.Buffer
	end    time.Duration
	height float64
}

func (p *picture) add(format string, args ...any) {
	fmt.Fprintf(&p.text, format, args...)
	p.text.WriteByte('\n')
}

func (p *picture) x(at time.Duration) float64 { return leftMargin + at.Seconds()*perSecond }

func (p *picture) legend() {
	x := leftMargin
	for _, s := range stages {
		p.add(`<rect x="%.0f" y="26" width="18" height="8" fill="%s"/><text x="%.0f" y="34">%s</text>`, x, s.colour, x+22, s.name)
		x += 150
	}
	p.add(`<circle cx="%.0f" cy="30" r="3" fill="#5cb85c"/><text x="%.0f" y="34">answered OK</text>`, x, x+8)
	p.add(`<circle cx="%.0f" cy="30" r="3" fill="#c0392b"/><text x="%.0f" y="34">answered with an error</text>`, x+90, x+98)
	p.add(`<rect x="%.0f" y="26" width="18" height="8" fill="#ddd"/><text x="%.0f" y="34">open, and its frontend is gone</text>`, x+230, x+252)
}

// axis draws a line for each second.
func (p *picture) axis() {
	for at := time.Duration(0); at <= p.end; at += time.Second {
		p.add(`<line x1="%.1f" y1="%.0f" x2="%.1f" y2="%.0f" stroke="#eee"/>`, p.x(at), topMargin, p.x(at), p.height)
		p.add(`<text x="%.1f" y="%.0f" fill="#888" text-anchor="middle">%.0f s</text>`, p.x(at), topMargin+12, at.Seconds())
	}
}

// marks draws what happened to processes as lines across all lanes. It moves texts to
// the right that would cover each other.
func (p *picture) marks(all []mark) {
	const slant, step = 58, 11
	free := 0.0
	for _, m := range all {
		x := p.x(m.at)
		at := max(x, free)
		free = at + step
		colour := markColour(m.text)
		text := html.EscapeString(m.text)
		p.add(`<g><title>%.4f s: %s</title><line x1="%.1f" y1="%.0f" x2="%.1f" y2="%.0f" stroke="%s" stroke-opacity=".55"/>`,
			m.at.Seconds(), text, x, topMargin, x, p.height, colour)
		p.add(`<line x1="%.1f" y1="%.0f" x2="%.1f" y2="%.0f" stroke="%s" stroke-opacity=".55"/>`, x, topMargin, at, topMargin-12, colour)
		p.add(`<text x="%.1f" y="%.0f" fill="%s" transform="rotate(-%d %.1f %.0f)">%s</text></g>`,
			at, topMargin-14, colour, slant, at, topMargin-14, shorten(text, 42))
	}
}

func markColour(text string) string {
	switch {
	case strings.HasPrefix(text, "VIOLATION"):
		return "#ff0000"
	case strings.HasSuffix(text, "starts"):
		return "#2e8b57"
	case strings.Contains(text, " ends:"):
		return "#c0392b"
	case strings.Contains(text, "hangs"):
		return "#d98200"
	case strings.HasPrefix(text, "client"):
		return "#888888"
	default:
		return "#6c4ab6"
	}
}

// shorten cuts a text that is too long for its place.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// row draws the way of a ticket.
func (p *picture) row(y float64, title string, j *journey) {
	p.add(`<g><title>%s</title>`, html.EscapeString(title))
	points := []time.Duration{j.issued, j.staged, j.released, j.committed, j.answered}
	from := j.issued
	colour := stages[0].colour
	for i := range stages {
		to := points[i+1]
		if to == never || to < from {
			continue // it did not happen, or was noticed later than what follows it
		}
		p.add(`<rect x="%.2f" y="%.1f" width="%.2f" height="%.1f" fill="%s"/>`,
			p.x(from), y, max(0.7, p.x(to)-p.x(from)), rowHeight-1, colour)
		from = to
		if i+1 < len(stages) {
			colour = stages[i+1].colour
		}
	}
	if j.answered == never {
		p.add(`<rect x="%.2f" y="%.1f" width="%.2f" height="%.1f" fill="#ddd"/>`, p.x(from), y, p.x(p.end)-p.x(from), rowHeight-1)
	} else {
		colour = "#5cb85c"
		if j.failed != "" {
			colour = "#c0392b"
		}
		p.add(`<circle cx="%.2f" cy="%.1f" r="2" fill="%s"/>`, p.x(j.answered)+1, y+rowHeight/2-0.5, colour)
	}
	p.add(`</g>`)
}

// String returns the way of a ticket.
func (j *journey) String() string {
	text := fmt.Sprintf("lane %s, epoch %d, ticket %d", j.Lane, j.Epoch, j.Number)
	for _, s := range []struct {
		name string
		at   time.Duration
	}{{"issued", j.issued}, {"staged", j.staged}, {"released", j.released}, {"committed", j.committed}, {"answered", j.answered}} {
		if s.at != never {
			text += fmt.Sprintf("; %s at %.4f s", s.name, s.at.Seconds())
		}
	}
	if j.failed != "" {
		text += ": " + j.failed
	}
	return text
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
