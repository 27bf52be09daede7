package damage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// Outcome is what became of a damaged folder.
type outcome string

const (
	unharmed outcome = "unharmed"         // everything that was acknowledged is readable
	gap      outcome = "gap, warned"      // offsets that a crash leaves open are recorded as a gap
	readOnly outcome = "loss reported"    // by readyz, an error in the log, and topic info
	onRead   outcome = "reported on read" // a fetch names what it cannot read
	refused  outcome = "start refused"    // the process ends with an error
	failed   outcome = "FAILED"
)

// trial is one case: a damaged copy of a base, and what is found in it.
type trial struct {
	t      *testing.T
	ctx    context.Context
	draw   Draw
	known  *facts
	server *server
	state  state
	conn   *nats.Conn
	wrong  []line // of the log

	value   string           // what is produced
	added   map[string]int64 // where that stands, by partitions
	faults  []string
	outcome outcome
	took    time.Duration // until the process had started or ended
}

// fault notes that something which must hold does not.
func (c *trial) fault(format string, arguments ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, arguments...))
	c.outcome = failed
}

// worse notes an outcome unless there is a worse one.
func (c *trial) worse(o outcome) {
	order := []outcome{unharmed, gap, onRead, readOnly, refused, failed}
	rank := func(o outcome) int {
		for i := range order {
			if order[i] == o {
				return i
			}
		}
		return -1
	}
	if rank(o) > rank(c.outcome) {
		c.outcome = o
	}
}

// run starts the process on the folder and checks what must hold.
func (c *trial) run(folder string) {
	c.outcome = unharmed
	c.server = serve(c.t, folder, logOf(folder))
	var err error
	c.state, err = c.server.await()
	c.took = time.Since(c.server.began)
	c.wrong = c.server.log()
	switch {
	case err != nil:
		c.fault("after %s: %v (readyz: %v)", c.took.Round(time.Millisecond), err, c.state)
		c.server.kill()
		return
	case c.server.ended:
		c.worse(refused)
		if c.server.code <= 0 || !logged(c.wrong, "error", "") {
			c.fault("the process ends with code %d, and without an error", c.server.code)
		}
		return
	}
	if c.conn, err = c.server.connect(); err != nil {
		c.fault("connect: %v", err)
		c.server.kill()
		return
	}
	defer c.conn.Close()
	c.check()
	if err := c.server.stop(); err != nil {
		c.fault("the end: %v", err)
		c.server.kill()
	}
}

// again starts the process once more: what was acknowledged since is there as well,
// and what was reported is still known.
func (c *trial) again(folder string) {
	before := c.outcome
	c.known = c.known.clone()
	for p, offset := range c.added {
		c.known.sentAt(p, offset, c.value)
	}
	c.value, c.added = c.value+" again", make(map[string]int64)
	c.run(folder)
	if before == readOnly && (c.outcome == unharmed || c.outcome == gap) {
		c.fault("what was reported at the first start is forgotten at the second one: %s", c.outcome)
	}
	c.worse(before)
}

// check looks at every partition, and at what producers get.
func (c *trial) check() {
	for _, p := range c.known.partitions() {
		d, err := read(c.ctx, c.conn, p)
		c.wrong = c.server.log()
		if err != nil && !errors.Is(err, nats.ErrNoResponders) {
			c.fault("%s: %v", p, err)
		}
		lost := c.compare(p, d)
		state := c.judge(p, d, lost)
		c.worse(state)
		c.produce(p, d, state)
	}
	c.sequence()
	c.resume()
}

// report returns what topic info says of a partition's topic, and whether the loss of
// the partition is told everywhere. What frontends hear once a second, and what is looked at
// beside the start, takes a moment: a loss is waited for.
func (c *trial) report(p protocol.Partition, loss bool) (told info, reported bool) {
	ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
	defer cancel()
	_ = deployment.Eventually(ctx, func(ctx context.Context) error {
		if now, err := c.server.readyz(ctx); err == nil {
			c.state = now
		}
		told = info{}
		told.ask(ctx, c.conn, p.Topic)
		c.wrong = c.server.log()
		if reported = c.reported(p, told); !reported && (loss || c.named(p)) {
			return errors.New("not told yet")
		}
		return nil
	})
	return told, reported
}

// info is an answer of topic info.
type info struct {
	Error      any `json:"error"`
	Partitions []struct {
		Partition int32  `json:"partition"`
		Damage    string `json:"damage"`
	} `json:"partitions"`
}

func (i *info) ask(ctx context.Context, conn *nats.Conn, topic string) {
	body, err := json.Marshal(protocol.TopicRequest{Name: topic})
	if err != nil {
		i.Error = err.Error()
		return
	}
	answer, err := conn.RequestWithContext(ctx, protocol.TopicAPI+"info", body)
	if err == nil {
		err = json.Unmarshal(answer.Data, i)
	}
	if err != nil {
		i.Error = err.Error()
	}
}

// tells reports whether topic info says that something is wrong with a partition.
func (i info) tells(p protocol.Partition) bool {
	if i.Error != nil {
		return true
	}
	for _, part := range i.Partitions {
		if part.Partition == p.Number {
			return part.Damage != ""
		}
	}
	return true // it is not even shown
}

// compare returns the offsets that were acknowledged and are not delivered, and
// notes what is delivered and wrong.
func (c *trial) compare(p protocol.Partition, d *delivered) []int64 {
	for offset, value := range d.records {
		switch acked, known := c.known.Acked[p.String()][offset]; {
		case known && acked != value:
			c.fault("%s: offset %d has %.40q, acknowledged was %.40q", p, offset, value, acked)
		case !known && !c.known.Sent[p.String()][value]:
			c.fault("%s: offset %d has %.40q, which was never sent", p, offset, value)
		}
	}
	for _, offset := range d.doubles {
		c.fault("%s: offset %d came twice, with different values", p, offset)
	}
	seen := make(map[string]int64, len(d.records))
	for offset, value := range d.records {
		if other, twice := seen[value]; twice {
			c.fault("%s: %.40q is at the offsets %d and %d", p, value, other, offset)
		}
		seen[value] = offset
	}
	var lost []int64
	for offset := range c.known.Acked[p.String()] {
		if _, there := d.records[offset]; !there {
			lost = append(lost, offset)
		}
	}
	return lost
}

// judge returns how the loss of a partition is reported, and records a fault if that is not
// what Laneway promises.
func (c *trial) judge(p protocol.Partition, d *delivered, lost []int64) outcome {
	// A partition that has lost nothing may not be able to prove that, and then its fetches fail as well.
	harmed := len(lost) > 0 && !c.inGaps(d, lost) || len(lost) == 0 && len(d.errors) > 0
	told, reported := c.report(p, harmed && c.draw.Category != "object")
	if len(lost) == 0 {
		if reported {
			return readOnly // as it cannot know that nothing is lost
		}
		if len(d.errors) > 0 {
			c.fault("%s: all is delivered, and yet: %q", p, d.errors)
		}
		return unharmed
	}
	if stream := LogStream(c.draw.File); stream != "" && stream != messages.JournalStream(p.Log) {
		c.fault("%s has lost %d records, the damage is to %s", p, len(lost), stream)
	}
	switch {
	case reported:
		return readOnly
	case c.inGaps(d, lost):
		return gap
	case len(d.errors) > 0 && c.draw.Category == "object":
		return onRead
	}
	c.fault("%s: %d records are lost, such as offset %d, and that is not reported: readyz %v, log %v, topic info %v, fetch %q, gaps %v",
		p, len(lost), lost[0], c.state, logged(c.wrong, "error", p.String(), messages.LogName(p)), told, d.errors, d.gaps)
	return failed
}

// reported reports whether the loss of a partition is told by readyz, by an error of
// the log, and by topic info.
func (c *trial) reported(p protocol.Partition, told info) bool {
	return c.named(p) && told.tells(p) && logged(c.wrong, "error", append(names(p), `"`+p.Topic+`"`)...)
}

// names are those of a partition, its log, and the streams that all partitions share.
func names(p protocol.Partition) []string {
	return []string{
		p.String(), messages.LogName(p), messages.JournalStream(p.Log), "LANEWAY_TOPICS", "LANEWAY_MARKS", "LANEWAY_SNAPSHOTS", "LANEWAY_EPOCHS", "LANEWAY_PRODUCERS", "LANEWAY_CLUSTER", "LANEWAY_GENERATION",
	}
}

// named reports whether readyz names a partition, its topic, or a bucket.
func (c *trial) named(p protocol.Partition) bool {
	for _, why := range c.state.unready {
		for _, name := range append(names(p), "topic "+p.Topic) {
			if strings.Contains(why, name) {
				return true
			}
		}
	}
	return false
}

// inGaps reports whether the log records that these offsets hold no records, and
// says so by a warning. Only a process that was killed may leave that open.
func (c *trial) inGaps(d *delivered, lost []int64) bool {
	for _, offset := range lost {
		if !d.covers(offset) {
			return false
		}
	}
	return strings.HasPrefix(c.draw.Base, "killed") && logged(c.wrong, "warn", "are left out")
}

// produce sends a record to a partition: it must not get an offset that was given
// out, and it must get one if nothing is said to be wrong.
func (c *trial) produce(p protocol.Partition, d *delivered, found outcome) {
	ack, err := produce(c.ctx, c.conn, &nats.Msg{Subject: p.ProduceSubject(), Data: []byte(c.value)})
	harmed := found == readOnly
	switch {
	case err != nil && !harmed && !c.unwritable(p, err):
		c.fault("%s takes no record: %v", p, err)
	case err == nil && ack.Offset < c.known.end(p):
		c.fault("%s gives out offset %d again; %d were acknowledged", p, ack.Offset, c.known.end(p))
	case err == nil:
		c.added[p.String()] = ack.Offset
		c.readBack(p, ack.Offset, d)
	}
}

// unwritable reports whether a partition that is whole takes no record, because its journal is damaged:
// JetStream appends nothing to a file that has damage in its middle, and does not answer.
func (c *trial) unwritable(p protocol.Partition, err error) bool {
	return LogStream(c.draw.File) == messages.JournalStream(p.Log) && strings.Contains(err.Error(), "OUTCOME_UNKNOWN")
}

// readBack reads a record that has just been acknowledged.
func (c *trial) readBack(p protocol.Partition, offset int64, before *delivered) {
	d := &delivered{records: make(map[int64]string)}
	if _, err := d.fetch(c.ctx, c.conn, p, offset); err != nil || d.records[offset] != c.value {
		c.fault("%s: the new record at offset %d is not delivered: %v, %q (before: end %d, %q)", p, offset, err, d.errors, before.end, before.errors)
	}
}

// sequence sends the last batch of an idempotent producer again, and then the next
// one: neither is doubled, nor put where the sequence does not belong.
func (c *trial) sequence() {
	p := protocol.Partition{Topic: "audit"}
	ack, err := produce(c.ctx, c.conn, sequenced(c.known.ProducerID, c.known.LastSequence, c.known.LastValue))
	if err != nil {
		return
	}
	if ack.Offset == c.known.LastOffset {
		return
	}
	d, err := read(c.ctx, c.conn, p)
	if err != nil {
		c.fault("%s: %v", p, err)
		return
	}
	if d.records[c.known.LastOffset] == c.known.LastValue {
		c.fault("%s: the retry of the batch at offset %d is appended at %d as well", p, c.known.LastOffset, ack.Offset)
	} else if !d.covers(c.known.LastOffset) && c.outcome != readOnly {
		c.fault("%s: the retry of the batch at offset %d gets offset %d", p, c.known.LastOffset, ack.Offset)
	}
}

// resume begins an instance of the named producer: it must continue where the earlier
// one ended, or not at all.
func (c *trial) resume() {
	limit := 30 * time.Second
	if c.outcome == readOnly {
		limit = 5 * time.Second // an init waits for a partition that is read-only
	}
	ctx, cancel := context.WithTimeout(c.ctx, limit)
	defer cancel()
	producer, err := client.New(c.conn).Producer(ctx, namedTopic, client.ProducerOptions{Name: named, Partition: new(int32(0))})
	if err != nil {
		if strings.Contains(err.Error(), "CORRUPT") {
			c.worse(onRead) // its record cannot be read
			return
		}
		if c.outcome == unharmed || c.outcome == onRead {
			c.fault("the named producer cannot continue: %v", err)
		}
		return
	}
	defer func() { _ = producer.Close(ctx) }()
	next := int(producer.NextSequence(0))
	if next == c.known.Named {
		return
	}
	if next < c.known.Named && c.outcome == gap {
		return // its next sequence is in the gap
	}
	c.fault("the named producer continues at %d, acknowledged were %d", next, c.known.Named)
}

// copyOf returns a copy of a folder with the damage of a draw.
func copyOf(base string, d Draw, to string) error {
	return errors.Join(os.CopyFS(to, os.DirFS(base)), d.Apply(to))
}
