package history

import (
	"errors"
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/load"
)

func records(values ...string) []Record {
	var all []Record
	for i, v := range values {
		all = append(all, Record{Offset: int64(i), Value: v})
	}
	return all
}

func acked(value string, offset int64, ticket uint64, answered int) load.Batch {
	return load.Batch{Value: value, Answered: answered, Ack: &protocol.ProduceAck{Offset: offset, Ticket: ticket, Epoch: 1}}
}

// by returns a batch as a frontend with an epoch has acknowledged it.
func by(epoch uint64, b load.Batch) load.Batch {
	b.Ack.Epoch = epoch
	return b
}

func refused(value string, code protocol.Code, answered int) load.Batch {
	return load.Batch{Value: value, Answered: answered, Error: protocol.NewError(code, "")}
}

func sent(batches ...load.Batch) map[string][]load.Batch {
	return map[string][]load.Batch{"p": batches}
}

func entry(base int64, epoch uint64, numbers ...uint64) messages.LoggedEntry {
	e := messages.Entry{BaseOffset: base, Epoch: epoch}
	for _, n := range numbers {
		e.Batches = append(e.Batches, messages.Placeholder{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "p", Number: n}, Records: 1}})
	}
	return messages.LoggedEntry{Entry: e}
}

// logged gives entries the sequences from first on.
func logged(first uint64, entries ...messages.LoggedEntry) []messages.LoggedEntry {
	for i := range entries {
		entries[i].Sequence = first + uint64(i)
	}
	return entries
}

// archived returns an entry which says that everything up to an entry and an offset is archived.
func archived(e messages.LoggedEntry, sequence uint64, offset int64) messages.LoggedEntry {
	e.Entry.History = messages.History{Manifest: "m", End: messages.Position{Sequence: sequence, Offset: offset}}
	return e
}

// The end-to-end tests are worth as much as these checks.
func TestChecksFindWhatIsWrongAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want bool // a fault
	}{
		"dense":                              {Dense(records("p 0", "p 1")), false},
		"a gap":                              {Dense([]Record{{Offset: 0}, {Offset: 2}}), true},
		"a gap that was told":                {Dense([]Record{{Offset: 0}, {Offset: 2, Gap: 1}}), false},
		"in order":                           {SendOrder(records("p 0", "q 0", "p 1")), false},
		"out of order":                       {SendOrder(records("p 1", "p 0")), true},
		"twice":                              {SendOrder(records("p 0", "p 0")), true},
		"not of a producer":                  {SendOrder(records("x")), true},
		"all there":                          {Acknowledged(records("p 0", "p 1"), sent(acked("p 0", 0, 1, 1), acked("p 1", 1, 2, 2))), false},
		"unanswered and there":               {Acknowledged(records("p 0"), sent(load.Batch{Value: "p 0"})), false},
		"unanswered and not there":           {Acknowledged(nil, sent(load.Batch{Value: "p 0"})), false},
		"acknowledged and missing":           {Acknowledged(nil, sent(acked("p 0", 0, 1, 1))), true},
		"acknowledged and elsewhere":         {Acknowledged(records("p 0"), sent(acked("p 0", 1, 1, 1))), true},
		"there twice":                        {Acknowledged(records("p 0", "p 0"), sent(acked("p 0", 0, 1, 1))), true},
		"never sent":                         {Acknowledged(records("q 0"), sent()), true},
		"refused and there":                  {Acknowledged(records("p 0"), sent(refused("p 0", protocol.CodeFailed, 1))), true},
		"unknown and there":                  {Acknowledged(records("p 0"), sent(refused("p 0", protocol.CodeOutcomeUnknown, 1))), false},
		"no service took it, but in the log": {Acknowledged(records("p 0"), sent(load.Batch{Value: "p 0", Lost: true})), true},
		"answers in order":                   {Answers(sent(acked("p 0", 0, 1, 1), refused("p 1", protocol.CodeFailed, 2), acked("p 2", 1, 3, 3))), false},
		"answers out of order":               {Answers(sent(acked("p 0", 0, 1, 2), acked("p 1", 1, 2, 1))), true},
		"answer of an older frontend":        {Answers(sent(acked("p 0", 0, 1, 2), by(2, acked("p 1", 1, 1, 1)))), false},
		"answer of a younger frontend":       {Answers(sent(by(2, acked("p 0", 0, 1, 2)), acked("p 1", 1, 2, 1))), true},
		"a rejection that overtakes":         {Answers(sent(acked("p 0", 0, 1, 2), refused("p 1", protocol.CodeUnavailable, 1), acked("p 2", 1, 2, 3))), false},
		"a failure that overtakes":           {Answers(sent(acked("p 0", 0, 1, 2), refused("p 1", protocol.CodeFailed, 1))), true},
		"offsets fall":                       {Answers(sent(acked("p 0", 1, 1, 1), acked("p 1", 0, 2, 2))), true},
		"tickets fall":                       {Answers(sent(acked("p 0", 0, 2, 1), acked("p 1", 1, 1, 2))), true},
		"the log is fine":                    {Log(logged(1, entry(0, 0), entry(0, 1, 1, 2), entry(2, 2, 1))), false},
		"the log has a gap":                  {Log(logged(1, entry(0, 1, 1), entry(2, 1, 2))), true},
		"the log has a ticket twice":         {Log(logged(1, entry(0, 1, 1), entry(1, 1, 1))), true},
		"the log has an old frontend":        {Log(logged(1, entry(0, 2, 1), entry(1, 1, 2))), true},
		"the log has a hole":                 {Log(append(logged(1, entry(0, 1, 1)), logged(3, entry(1, 1, 2))...)), true},
		"the log has lost its beginning":     {Log(logged(3, entry(2, 1, 1))), true},
		"its beginning is archived":          {Log(logged(3, entry(2, 1, 1), archived(entry(3, 1, 2), 2, 2))), false},
		"a part of it is archived":           {Log(logged(3, entry(2, 1, 1), archived(entry(3, 1, 2), 1, 1))), true},
		"more than that is archived":         {Log(logged(2, entry(2, 1, 1), archived(entry(3, 1, 2), 2, 3))), false},
		"the history falls":                  {Log(logged(1, archived(entry(0, 1, 1), 2, 2), archived(entry(1, 1, 2), 1, 1))), true},
	} {
		if (c.err != nil) != c.want {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	if err := SendOrder(records("p 1", "p 0")); !errors.Is(err, ErrDisorder) {
		t.Errorf("%v is no %v", err, ErrDisorder)
	}
	if a, r, err := AllAnswered(sent(acked("p 0", 0, 1, 1), refused("p 1", protocol.CodeFailed, 2))); a != 1 || r != 1 || err != nil {
		t.Errorf("%d acknowledged, %d refused, %v", a, r, err)
	}
	if _, _, err := AllAnswered(sent(load.Batch{Value: "p 0"})); err == nil {
		t.Error("a batch without an answer is not noticed")
	}
}
