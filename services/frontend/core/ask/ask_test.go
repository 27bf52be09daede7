package ask

import (
	"context"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const every = 200 * time.Millisecond

var start = time.Unix(1_000_000, 0)

func partition(n int) protocol.Partition {
	return protocol.Partition{Topic: "orders", TopicID: 7, Number: int32(n)}
}

func questions(n int) *Questions {
	q := New(every)
	for i := range n {
		q.Add(messages.ListProducers{Partition: partition(i), Request: uint64(i)})
	}
	return q
}

func TestQuestionIsRepeatedUntilAnswered(t *testing.T) {
	q := questions(1)
	sent := q.Due(start)
	if len(sent) != 1 || sent[0].Subject != messages.ReplicatorSubject(partition(0)) || sent[0].Message.Of() != partition(0) {
		t.Fatalf("sent %+v", sent)
	}
	if n := len(q.Due(start.Add(every - 1))); n != 0 {
		t.Fatal("repeated too early")
	}
	if n := len(q.Due(start.Add(every))); n != 1 {
		t.Fatal("not repeated")
	}
	if !q.Answered(partition(0)) || q.Answered(partition(0)) || q.Open() != 0 {
		t.Fatal("an answer counts once")
	}
	if n := len(q.Due(start.Add(time.Hour))); n != 0 {
		t.Fatal("repeated after its answer")
	}
}

func TestQuestionsBeyondTheLimitWaitForAnswers(t *testing.T) {
	q := questions(maxOpen + 2)
	if n := len(q.Due(start)); n != maxOpen {
		t.Fatalf("%d are sent at once", n)
	}
	q.Answered(partition(3))
	if sent := q.Due(start); len(sent) != 1 || sent[0].Message.Of() != partition(maxOpen) {
		t.Fatalf("sent %+v after an answer", sent)
	}
	if n := len(q.Due(start.Add(every))); n != maxOpen {
		t.Fatalf("%d are repeated", n)
	}
}

func TestDamageEndsTheWaitForItsPartition(t *testing.T) {
	q := questions(1)
	damaged := messages.ReadOnly{Partition: partition(0), Damage: "entry 7 is lost"}
	if err := q.Damaged(damaged); err != nil {
		t.Fatalf("before it was asked: %v", err)
	}
	q.Due(start)
	if err := q.Damaged(messages.ReadOnly{Partition: partition(1), Damage: "x"}); err != nil {
		t.Fatalf("damage of another partition: %v", err)
	}
	err := q.Damaged(damaged)
	if protocol.AsError(err).Code != protocol.CodePartitionDamaged || !strings.Contains(err.Error(), "entry 7 is lost") {
		t.Fatalf("error %v", err)
	}
}

func TestTimeoutNamesThePartitionThatDoesNotAnswer(t *testing.T) {
	q := questions(2)
	q.Answered(partition(0))
	err := q.Unanswered(context.DeadlineExceeded)
	if protocol.AsError(err).Code != protocol.CodeUnavailable || !strings.Contains(err.Error(), partition(1).String()) {
		t.Fatalf("error %v", err)
	}
	q.Answered(partition(1))
	if err := q.Unanswered(context.DeadlineExceeded); protocol.AsError(err).Code != protocol.CodeUnavailable {
		t.Fatalf("error %v", err)
	}
}
