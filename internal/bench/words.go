package bench

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// summary says in a few words what was measured.
func (r *Report) summary() string {
	w := &r.Work
	parts := []string{count(w.Rounds, "round")}
	if w.Name == Consume {
		parts = append(parts, bytesOf(w.Bytes)+" read")
	}
	parts = append(parts, "records of "+bytesOf(w.RecordBytes))
	if w.BatchBytes > 0 {
		sent := ""
		if w.Name == Consume {
			sent = "sent before in "
		}
		parts = append(parts, sent+"batches of "+bytesOf(w.BatchBytes))
	}
	if w.Producers > 0 && w.Name != Consume {
		parts = append(parts, fmt.Sprintf("%s with %d in flight", count(w.Producers, "producer"), w.InFlight))
	}
	if w.RecordsPerSecond > 0 {
		parts = append(parts, count(w.RecordsPerSecond, "record")+" a second")
	}
	if w.Cluster > 1 {
		parts = append(parts, fmt.Sprintf("%d NATS servers and replicas", w.Cluster))
	}
	return fmt.Sprintf("%s, %s/%s with %s: %s. %s", r.Started.Format(time.RFC3339), r.Machine.System, r.Machine.Architecture,
		count(r.Machine.CPUs, "CPU"), strings.Join(parts, ", "), r.condition())
}

// condition says what held during the measurement.
func (r *Report) condition() string {
	if r.Work.Name == Consume {
		return "One consumer reads everything from the beginning and checks it."
	}
	return "Laneway answers when everything is on disk (sync always)."
}

// value is what the figures are.
func (r *Report) value() string {
	if r.Work.Name == Latency {
		return "p50 ms"
	}
	return r.Unit
}

// verb makes a sentence of Laneway and a ratio.
func (r *Report) verb() string {
	if r.Better == "lower" {
		return "takes"
	}
	return "is"
}

// reading says how to read the figures.
func (r *Report) reading() string {
	text, than := "Of records a second more is better", "above"
	if r.Better == "lower" {
		text, than = "Of milliseconds less is better; p50 is the median latency within a round", "below"
	}
	if len(r.Ratios) > 0 {
		text += ". A ratio " + than + " 1× is in favour of Laneway"
	}
	return text + "."
}

// count prints a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// bytesOf prints a size.
func bytesOf[N int | int64](n N) string { return humanize.IBytes(uint64(n)) }
