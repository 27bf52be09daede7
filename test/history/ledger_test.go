package history

import (
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/load"
)

// seen is what a consumer gets: a record, or a gap up to an offset.
type seen struct {
	offset int64
	value  string
	age    time.Duration // of the record
	last   int64         // of a gap
	err    *protocol.Error
}

func record(offset int64, value string) seen { return seen{offset: offset, value: value} }

func old(offset int64, value string, age time.Duration) seen {
	return seen{offset: offset, value: value, age: age}
}

func trimmed(first, last int64) seen {
	return seen{offset: first, last: last, err: protocol.NewError(protocol.CodeOffsetOutOfRange, "")}
}

// pass lets a reader of the ledger see things, up to the end of the partition.
func (l *Ledger) pass(all ...seen) error {
	reading := l.Read()
	for _, s := range all {
		if s.value == "" {
			reading.Gap(client.Gap{First: s.offset, Last: s.last, Err: s.err})
			continue
		}
		r := client.Record{Offset: s.offset, Time: time.Now().Add(-s.age), Value: []byte(load.Pad(s.value, 100))}
		if err := reading.Record(&r); err != nil {
			return err
		}
	}
	return reading.End()
}

func TestLedgerFindsWhatIsWrongAndNothingElse(t *testing.T) {
	const retention = time.Minute
	type passes = [][]seen
	for name, c := range map[string]struct {
		acked     []load.Batch
		passes    passes
		retention time.Duration
		want      bool // a fault
	}{
		"all there":                          {nil, passes{{record(0, "p 0"), record(1, "p 1")}, {record(0, "p 0"), record(1, "p 1"), record(2, "q 0")}}, 0, false},
		"a gap":                              {nil, passes{{record(0, "p 0"), record(2, "p 1")}}, 0, true},
		"a gap that is announced":            {nil, passes{{record(0, "p 0"), {offset: 1, last: 1}, record(2, "p 1")}}, 0, false},
		"a gap that is announced elsewhere":  {nil, passes{{record(0, "p 0"), {offset: 2, last: 2}, record(3, "p 1")}}, 0, true},
		"a gap where a record was":           {nil, passes{{record(0, "p 0"), record(1, "p 1"), record(2, "p 2")}, {record(0, "p 0"), {offset: 1, last: 1}, record(2, "p 2")}}, 0, true},
		"records are exchanged":              {nil, passes{{record(0, "p 0"), record(1, "q 0")}, {record(0, "q 0"), record(1, "p 0")}}, 0, true},
		"a record comes twice":               {nil, passes{{record(0, "q 1"), record(1, "q 1")}}, 0, true},
		"out of order":                       {nil, passes{{record(0, "q 1"), record(1, "q 0")}}, 0, true},
		"a record is left out":               {nil, passes{{record(0, "p 0"), record(1, "p 2")}}, 0, true},
		"a plain record is left out":         {nil, passes{{record(0, "q 0"), record(1, "q 2")}}, 0, false},
		"the first record is left out":       {nil, passes{{record(0, "p 1")}}, 0, true},
		"the start rises in time":            {nil, passes{{old(0, "p 0", time.Hour), record(1, "p 1")}, {record(1, "p 1")}}, retention, false},
		"the start rises too early":          {nil, passes{{old(0, "p 0", time.Second), record(1, "p 1")}, {record(1, "p 1")}}, retention, true},
		"the start rises in a kept topic":    {nil, passes{{old(0, "p 0", time.Hour), record(1, "p 1")}, {record(1, "p 1")}}, 0, true},
		"a reader is overtaken":              {nil, passes{{old(0, "p 0", time.Hour), old(1, "p 1", time.Hour), record(2, "p 2")}, {old(0, "p 0", time.Hour), trimmed(1, 1), record(2, "p 2")}}, retention, false},
		"a reader is overtaken early":        {nil, passes{{old(0, "p 0", time.Hour), record(1, "p 1"), record(2, "p 2")}, {old(0, "p 0", time.Hour), trimmed(1, 1), record(2, "p 2")}}, retention, true},
		"everything has expired":             {nil, passes{{old(0, "p 0", time.Hour)}, nil}, retention, false},
		"everything is gone":                 {nil, passes{{record(0, "p 0")}, {record(0, "p 0")}, nil}, retention, false}, // but for what was acknowledged
		"everything acknowledged is gone":    {[]load.Batch{acked("p 0", 0, 1, 1)}, passes{nil}, 0, true},
		"an end before what is acknowledged": {[]load.Batch{acked("p 0", 0, 1, 1), acked("p 1", 1, 2, 2)}, passes{{record(0, "p 0")}}, 0, true},
		"acknowledged and there":             {[]load.Batch{acked("p 0", 0, 1, 1)}, passes{{record(0, "p 0")}}, 0, false},
		"acknowledged and another there":     {[]load.Batch{acked("q 0", 0, 1, 1)}, passes{{record(0, "q 1")}}, 0, true},
	} {
		l := NewLedger(c.retention, "p")
		err := l.Batches(c.acked)
		for _, p := range c.passes {
			if err == nil {
				err = l.pass(p...)
			}
		}
		if (err != nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct { // what is acknowledged after a reader was there
		pass      []seen
		acked     load.Batch
		retention time.Duration
		want      bool // a fault
	}{
		"in a gap":             {[]seen{{offset: 0, last: 0}, record(1, "q 1")}, acked("q 0", 0, 1, 1), 0, true},
		"beside a gap":         {[]seen{{offset: 0, last: 0}, record(1, "q 1")}, acked("q 1", 1, 1, 1), 0, false},
		"before the start":     {[]seen{record(1, "q 1")}, acked("q 0", 0, 1, 1), 0, true},
		"long before":          {[]seen{record(1, "q 1")}, acked("q 0", 0, 1, 1), retention, false},
		"overtaken":            {[]seen{record(0, "q 0"), trimmed(1, 1), record(2, "q 2")}, acked("q 1", 1, 1, 1), retention, false},
		"overtaken just after": {[]seen{record(0, "q 0"), trimmed(1, 1), record(2, "q 2")}, load.Batch{Value: "q 1", Sent: time.Now(), Ack: &protocol.ProduceAck{Offset: 1}}, retention, true},
	} {
		l := NewLedger(c.retention, "p")
		if err := l.pass(c.pass...); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := l.Batches([]load.Batch{c.acked}); (err != nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	l := NewLedger(0, "p")
	if err := l.pass(record(0, "q 0")); err != nil {
		t.Fatal(err)
	}
	if err := l.Batches([]load.Batch{refused("q 0", protocol.CodeFailed, 1)}); err == nil {
		t.Error("a record that was refused is in the log, and that is not noticed")
	}
	if err := l.pass(seen{offset: 0, value: "q 0\nq 1"}); err == nil {
		t.Error("an altered record is not noticed")
	}
}
