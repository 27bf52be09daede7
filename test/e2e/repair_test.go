package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// exported is what a line of an export has that this test compares.
type exported struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Lane      string `json:"lane"`
	Ticket    uint64 `json:"ticket"`
	Epoch     uint64 `json:"frontend_epoch"`
	MessageID string `json:"message_id"`
	LogOffset *int64 `json:"log_offset"`
	Producer  *struct {
		ID       int64 `json:"id,string"`
		Epoch    int16 `json:"epoch"`
		Sequence int32 `json:"sequence"`
	} `json:"producer"`
	Records []struct {
		Headers []struct {
			Name        string `json:"name"`
			Value       string `json:"value"`
			ValueBase64 []byte `json:"value_base64"`
		} `json:"headers"`
		Value       *string `json:"value"`
		ValueBase64 []byte  `json:"value_base64"`
	} `json:"records"`
}

// sentBatch is a batch as its producer knows it.
type sentBatch struct {
	ack     protocol.ProduceAck
	records []protocol.Record
	message *nats.Msg
}

// sendVariety sends batches of all sorts to a partition.
func (f *fixture) sendVariety(ctx context.Context, t *testing.T, p protocol.Partition) []sentBatch {
	t.Helper()
	var sent []sentBatch
	send := func(m *nats.Msg, records ...protocol.Record) {
		t.Helper()
		m.Subject = p.ProduceSubject()
		ack := f.request(ctx, t, m)
		if ack.Error != nil {
			t.Fatal(ack.Error)
		}
		sent = append(sent, sentBatch{ack, records, m})
	}
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for n := range int32(12) {
		value := fmt.Appendf(nil, "%s plain %d", p, n)
		send(&nats.Msg{Data: value, Header: nats.Header{
			protocol.HeaderProducer: {"lane"}, "Color": {"red", "green"}, protocol.HeaderMessageID: {fmt.Sprintf("%s-%d", p, n)},
		}}, protocol.Record{Headers: []protocol.Header{{Name: "Color", Value: "red"}, {Name: "Color", Value: "green"}}, Value: value})
		m := sequenced(4711, 0, 2*n, 2*n)
		records := []protocol.Record{{Value: every}, {Headers: []protocol.Header{{Name: "A", Value: "ä"}}, Value: fmt.Appendf(nil, "%s second %d", p, n)}}
		var frame protocol.FrameBuilder
		for _, r := range records {
			frame.Append(r)
		}
		m.Header.Set(protocol.HeaderContentType, protocol.ContentTypeBatch)
		m.Data = bytes.Clone(frame.Bytes())
		send(m, records...)
	}
	return sent
}

// The log's only block is deleted: JetStream comes back with an empty log, or none.
func TestBatchesOfMissingLogAreExported(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{Frontend: uploadsAll, Replicator: []string{"--snapshot-entries", "5"}})
		other := f.createApart(t, "other")
		sent := f.sendVariety(ctx, t, f.partition)
		f.sendVariety(ctx, t, other)
		f.loseLog(ctx, t, f.partition)

		file := filepath.Join(t.TempDir(), "lost.jsonl")
		report := f.repair(ctx, t, "orders", "--store", f.Store, "--export", file)
		for _, want := range []string{"partition 0: DAMAGED", "batches in the object store that the log does not refer to", "newest snapshot: up to sequence"} {
			if !strings.Contains(report, want) {
				t.Errorf("the report lacks %q:\n%s", want, report)
			}
		}
		compareExport(t, readExport(t, file), sent)
		if report := f.repair(ctx, t, "other", "--store", f.Store); !strings.Contains(report, "partition 0: nothing is missing") {
			t.Errorf("the report about another topic:\n%s", report)
		}
	})
}

// loseLog deletes the blocks with a log while its server is down.
func (f *fixture) loseLog(ctx context.Context, t *testing.T, p protocol.Partition) {
	t.Helper()
	keeper := deployment.NATS
	folder := filepath.Join(f.Data, "jetstream")
	if f.Kind == deployment.OneProcess {
		keeper, folder = deployment.Serve, filepath.Join(f.Data, "nats", "jetstream")
	}
	stream := logtest.Of(t, f.conn, p).Stream()
	f.Kill(keeper)
	if err := os.Remove(filepath.Join(folder, "$G", "streams", stream, "msgs", "1.blk")); err != nil {
		t.Fatal(err)
	}
	f.Restart(keeper)
	f.AwaitConnected(ctx, f.conn)
}

// repair returns the report about a topic, as soon as JetStream is there.
func (f *fixture) repair(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	var report string
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		code, output, err := deployment.ExitCode(f.Laneway(ctx, append([]string{"topic", "repair"}, args...)...))
		if err == nil && code != 0 {
			err = errors.New(output)
		}
		report = output
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func readExport(t *testing.T, file string) []exported {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []exported
	for text := range strings.Lines(string(content)) {
		var e exported
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		lines = append(lines, e)
	}
	return lines
}

// compareExport checks that an export has what was sent and nothing else, each lane
// in the order in which it was sent.
func compareExport(t *testing.T, lines []exported, sent []sentBatch) {
	t.Helper()
	type ticket struct {
		epoch  uint64
		lane   string
		number uint64
	}
	last := make(map[string]uint64)
	byTicket := make(map[ticket]exported)
	for _, e := range lines {
		if e.Ticket <= last[e.Lane] {
			t.Errorf("lane %s: ticket %d stands behind %d", e.Lane, e.Ticket, last[e.Lane])
		}
		last[e.Lane] = e.Ticket
		byTicket[ticket{e.Epoch, e.Lane, e.Ticket}] = e
	}
	if len(lines) != len(sent) {
		t.Errorf("%d batches are exported, %d were acknowledged", len(lines), len(sent))
	}
	for _, s := range sent {
		found := false
		for at, e := range byTicket {
			if at.number == s.ack.Ticket && at.epoch == s.ack.Epoch && e.sameAs(s) {
				found = true
				delete(byTicket, at)
				break
			}
		}
		if !found {
			t.Errorf("the batch at offset %d, ticket %d, is not exported as it was sent", s.ack.Offset, s.ack.Ticket)
		}
	}
}

// sameAs reports whether a line has the records and the identity of a batch.
func (e *exported) sameAs(s sentBatch) bool {
	if e.Topic != s.ack.Topic || e.Partition != s.ack.Partition || len(e.Records) != len(s.records) ||
		e.MessageID != s.message.Header.Get(protocol.HeaderMessageID) {
		return false
	}
	sequence := s.message.Header.Get(protocol.HeaderSequence)
	if (e.Producer == nil) != (sequence == "") || e.Producer != nil && (e.Producer.ID != 4711 || fmt.Sprint(e.Producer.Sequence) != sequence) {
		return false
	}
	for i, r := range e.Records {
		value := r.ValueBase64
		if r.Value != nil {
			value = []byte(*r.Value)
		}
		want := s.records[i]
		if !bytes.Equal(value, want.Value) || len(r.Headers) != len(want.Headers) {
			return false
		}
		for n, h := range r.Headers {
			if h.Name != want.Headers[n].Name || h.Value+string(h.ValueBase64) != want.Headers[n].Value {
				return false
			}
		}
	}
	return true
}
