// Package pipeline connects the pure cores of the four services without
// goroutines, network or disk, and with a clock that only the test moves.
// Messages between the cores are encoded and decoded as they are on the wire.
// Uploads end in the order that the test chooses.
package pipeline

import (
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	frontend "laneway.dev/services/frontend/core"
	replicator "laneway.dev/services/replicator/core"
	sequencer "laneway.dev/services/sequencer/core"
	stager "laneway.dev/services/stager/core"
)

const (
	heartbeat    = 200 * time.Millisecond
	stageTimeout = 2 * time.Second
	deadline     = 30 * time.Second

	frontendEpoch  = 3
	sequencerEpoch = 5
)

var partition = protocol.Partition{Topic: "orders", TopicID: 77}

// Pipeline is one partition of Laneway in memory. It belongs to one goroutine.
type Pipeline struct {
	Answers []frontend.Answer // in the order in which they leave

	now        time.Time
	frontend   *frontend.Log
	stager     *stager.Core
	sequencer  *sequencer.Log
	replicator *replicator.Core

	underway []messages.Envelope // messages on their way
	uploads  []*stager.Object
	objects  int                        // stored so far
	payloads map[messages.Extent][]byte // of what is stored
	log      []messages.LoggedEntry
	faults   []error
}

// New returns a pipeline that is ready for producers. Every batch is an object
// of its own, and uploads are at once as many as there are batches.
func New() *Pipeline {
	p := &Pipeline{
		now:        time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC),
		frontend:   frontend.NewLog(frontendEpoch, frontend.Times{Heartbeat: heartbeat, StageTimeout: stageTimeout, Deadline: deadline}),
		stager:     stager.NewCore(stager.Settings{ObjectBytes: 1 << 20, ObjectBatches: 1, Uploads: 1 << 20, MemoryBytes: 1 << 30}),
		sequencer:  sequencer.NewLog(sequencerEpoch, heartbeat),
		replicator: replicator.NewCore(partition, replicator.DefaultSettings("owner")),
		payloads:   make(map[messages.Extent][]byte),
		log:        []messages.LoggedEntry{{Sequence: 1, Entry: messages.Entry{TopicID: partition.TopicID, Created: true}}},
	}
	p.stepFrontend(frontend.Added{Partition: partition})
	p.sequencer.Step(p.now, []sequencer.Event{sequencer.Added{Partition: partition}})
	p.Tick(0)
	p.Tick(heartbeat)
	return p
}

// Tick lets time pass, as the actors around the cores notice it.
func (p *Pipeline) Tick(d time.Duration) {
	p.now = p.now.Add(d)
	p.stepFrontend()
	p.stepStager()
	p.send(p.sequencer.Step(p.now, nil).Send)
	p.stepReplicator()
	p.settle()
}

// Produce takes a batch of one record, as it arrives at the frontend.
func (p *Pipeline) Produce(producer, value string) {
	p.stepFrontend(frontend.Produce{
		Partition:  partition,
		Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: producer}, Records: 1}},
		Payload:    protocol.EncodeRecord(protocol.Record{Value: []byte(value)}), Request: value,
	})
	p.settle()
}

// Uploading returns the values whose uploads have started and not ended, in the
// order of their beginning.
func (p *Pipeline) Uploading() []string {
	var values []string
	for _, o := range p.uploads {
		values = append(values, p.valueOf(o.Batches[0].Payload))
	}
	return values
}

// Upload ends the upload of a value.
func (p *Pipeline) Upload(value string) {
	object := p.take(value)
	if object == nil {
		return
	}
	p.objects++
	done := stager.Uploaded{Object: object, Size: object.Bytes}
	for i := range object.Batches {
		x := messages.Extent{
			Key: fmt.Sprintf("object-%d", p.objects), Offset: int64(i), Length: int64(len(object.Batches[i].Payload)), CRC: 1,
		}
		p.payloads[x] = object.Batches[i].Payload
		done.Extents = append(done.Extents, x)
	}
	p.stepStager(done)
	p.settle()
}

// Fail ends the upload of a value without success, for good.
func (p *Pipeline) Fail(value string) {
	if object := p.take(value); object != nil {
		attempts := stager.NewAttempts(object)
		_, refused := attempts.Failed(p.now, stager.Failure{Detail: "disk on fire", Final: true}, 0)
		p.stepStager(stager.Uploaded{Object: object, Failed: refused})
		p.settle()
	}
}

func (p *Pipeline) take(value string) *stager.Object {
	for i, o := range p.uploads {
		if p.valueOf(o.Batches[0].Payload) == value {
			p.uploads = append(p.uploads[:i:i], p.uploads[i+1:]...)
			return o
		}
	}
	p.fault("no upload of %q is under way", value)
	return nil
}

// Committed returns the values in the log, in its order: the payload that a
// consumer would get at each offset.
func (p *Pipeline) Committed() []string {
	var values []string
	for _, logged := range p.log {
		if logged.Entry.BaseOffset != int64(len(values)) {
			p.fault("entry %d begins at offset %d, the one before ends at %d", logged.Sequence, logged.Entry.BaseOffset, len(values))
		}
		for _, b := range logged.Entry.Batches {
			values = append(values, p.valueOf(p.payloads[b.Extent]))
		}
	}
	return values
}

// Lanes returns how many lanes the sequencer knows, and Outstanding how many
// tickets the frontend has not resolved.
func (p *Pipeline) Lanes() int { return p.sequencer.Stats().Lanes }

// Outstanding returns how many tickets the frontend has not resolved.
func (p *Pipeline) Outstanding() int { return p.frontend.Stats(partition).Outstanding }

// Early returns how many batches were staged before an earlier one of their lane.
func (p *Pipeline) Early() uint64 { return p.sequencer.Stats().Early }

// Faults returns what must never happen and did.
func (p *Pipeline) Faults() []error { return p.faults }

func (p *Pipeline) fault(format string, arguments ...any) {
	p.faults = append(p.faults, fmt.Errorf(format, arguments...))
}

func (p *Pipeline) valueOf(frame []byte) string {
	r, err := protocol.NewFrameReader(frame)
	if err != nil {
		p.fault("a payload cannot be read: %w", err)
		return ""
	}
	defer r.Close()
	record, _ := r.Next()
	return string(record.Value)
}

func (p *Pipeline) send(envelopes []messages.Envelope) {
	p.underway = append(p.underway, envelopes...)
}

// settle delivers messages until none is under way.
func (p *Pipeline) settle() {
	for len(p.underway) > 0 {
		e := p.underway[0]
		p.underway = p.underway[1:]
		m, err := messages.Decode(messages.Encode(e.Message))
		if err != nil {
			p.fault("a message to %s cannot be read: %w", e.Subject, err)
			continue
		}
		p.deliver(e.Subject, m)
	}
}

func (p *Pipeline) deliver(subject string, m messages.Message) {
	committed, isCommitted := m.(messages.Committed)
	switch {
	case subject == messages.StageSubject:
		p.stepStager(m)
	case subject == messages.SequencerSubject(partition):
		p.send(p.sequencer.Step(p.now, []sequencer.Event{m}).Send)
	case subject == messages.ReplicatorSubject(partition):
		p.stepReplicator(m)
	case isCommitted:
		entry, err := messages.DecodeEntry(committed.Entry)
		if err != nil {
			p.fault("a committed entry cannot be read: %w", err)
			return
		}
		p.stepFrontend(frontend.CommittedEntry{Partition: partition, Entry: entry})
	case subject == messages.FrontendSubject(partition, frontendEpoch):
		p.stepFrontend(m)
	default:
		p.fault("no subscriber for %s", subject)
	}
}

func (p *Pipeline) stepFrontend(events ...frontend.Event) {
	fx := p.frontend.Step(p.now, events)
	if fx.TakeEpoch != 0 {
		p.fault("the frontend is fenced by %d", fx.TakeEpoch)
	}
	p.Answers = append(p.Answers, fx.Answers...)
	p.send(fx.Send)
}

func (p *Pipeline) stepStager(events ...stager.Event) {
	fx := p.stager.Step(p.now, events)
	p.uploads = append(p.uploads, fx.Uploads...)
	p.send(fx.Send)
}

// stepReplicator also is the log: appends by compare-and-set, and reads.
func (p *Pipeline) stepReplicator(events ...replicator.Event) {
	for {
		fx := p.replicator.Step(p.now, events)
		p.send(fx.Send)
		if fx.TakeEpoch != 0 || fx.Damage != "" {
			p.fault("the replicator is fenced by epoch %d, damage %q", fx.TakeEpoch, fx.Damage)
			return
		}
		if events = p.answer(fx); len(events) == 0 {
			return
		}
	}
}

// answer does what the replicator asks of its log, and returns what comes of it.
func (p *Pipeline) answer(fx replicator.Effects) (events []replicator.Event) {
	if fx.Load {
		events = append(events, replicator.Loaded{}) // there is no snapshot, and no mark
	}
	if fx.Append != nil {
		events = append(events, p.append(fx.Append))
	}
	if fx.Read != nil {
		events = append(events, replicator.LogRead{Entries: p.log[fx.Read.From-1:], AtEnd: true, Last: uint64(len(p.log))})
	}
	if fx.Mark != nil {
		events = append(events, replicator.MarkWritten{Mark: fx.Mark.Mark, Revision: fx.Mark.Revision + 1})
	}
	return events
}

func (p *Pipeline) append(a *replicator.Append) replicator.Event {
	entry, err := messages.DecodeEntry(a.Data)
	if err != nil || a.Expected != uint64(len(p.log)) {
		p.fault("an append behind %d of %d entries: %v", a.Expected, len(p.log), err)
		return replicator.AppendFailed{}
	}
	p.log = append(p.log, messages.LoggedEntry{Sequence: uint64(len(p.log)) + 1, Entry: entry})
	return replicator.Appended{Sequence: uint64(len(p.log))}
}
