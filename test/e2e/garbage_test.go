package e2e

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/load"
)

// garbage returns something that is no message of Laneway: random bytes, or a
// message of a partition that does not exist, cut or altered.
func garbage(random *rand.Rand) []byte {
	stranger := protocol.Partition{Topic: "nothing", TopicID: random.Uint64(), Number: int32(random.IntN(9)) - 4}
	all := []messages.Message{
		messages.Stage{Partition: stranger, Epoch: 1, Batches: []messages.StageBatch{{Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "l", Number: 1}}}, Remaining: 1000}}},
		messages.Staged{Partition: stranger, Epoch: 1, Batches: []messages.StagedBatch{{}}},
		messages.Advance{Partition: stranger, Epoch: 1, Lanes: []messages.LaneProgress{{Lane: "l", Highest: 1 << 60}}},
		messages.Release{Partition: stranger, Batches: []messages.StagedBatch{{}}},
		messages.Committed{Partition: stranger, Entry: []byte{1}},
	}
	data := messages.Encode(all[random.IntN(len(all))])
	for range random.IntN(4) {
		data[random.IntN(len(data))] = byte(random.Uint32())
	}
	return data[:random.IntN(len(data)+1)]
}

func TestGarbageOnAnySubjectDisturbsNobody(t *testing.T) {
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		p := f.partition
		subjects := []string{
			messages.StageSubject, messages.SequencerSubject(p), messages.ReplicatorSubject(p), messages.CommittedSubject(p),
			messages.FrontendSubject(p, 1), messages.FrontendSubject(p, 2), messages.AskerSubject(1), p.FetchSubject(),
			protocol.TopicAPI + "create", protocol.TopicAPI + "info", protocol.TopicAPI + "delete", protocol.TopicAPI + "list",
		}
		f.underLoad(ctx, t, func() map[string][]load.Batch {
			random := rand.New(rand.NewPCG(1, 2))
			for range 3000 {
				if err := f.conn.Publish(subjects[random.IntN(len(subjects))], garbage(random)); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.conn.FlushWithContext(ctx); err != nil {
				t.Fatal(err)
			}
			return f.probe(ctx, t, "after")
		})
	})
}

func TestReplySubjectsReachNoService(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		f := start(t, kind, deployment.Options{})
		ctx := within(t, time.Minute)
		f.request(ctx, t, &nats.Msg{Subject: f.partition.ProduceSubject(), Data: []byte("one")})
		for _, reply := range []string{messages.JournalSubject(f.partition.Log), "$KV.LANEWAY_TOPICS." + f.partition.Topic, protocol.TopicAPI + "delete"} {
			for subject, body := range map[string]string{
				f.partition.ProduceSubject(): "two", f.partition.FetchSubject(): `{"from":"earliest","max_records":1}`, protocol.TopicAPI + "list": "",
			} {
				if err := f.conn.PublishRequest(subject, reply, []byte(body)); err != nil {
					t.Fatal(err)
				}
			}
		}
		ack := f.request(ctx, t, &nats.Msg{Subject: f.partition.ProduceSubject(), Data: []byte("three")})
		if ack.Error != nil {
			t.Fatal(ack.Error)
		}
		topic, _, err := client.New(f.conn).Admin().TopicInfo(ctx, f.partition.Topic)
		if err != nil || topic.ID != f.partition.TopicID {
			t.Errorf("the topic is %+v, %v", topic, err)
		}
	})
}
