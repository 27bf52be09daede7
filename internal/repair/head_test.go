package repair

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"laneway.dev/pkg/messages"
)

// batch is the head of a batch of one record, whose payload is told apart by crc.
func batch(lane string, number uint64, crc uint32) head {
	return head{
		Batch: messages.Batch{Ticket: messages.Ticket{Lane: lane, Number: number}, Records: 1}, epoch: 5, messageIDAt: -1,
		extent: messages.Extent{Key: fmt.Sprintf("k%d", number), Offset: int64(crc), Length: 10, CRC: crc},
	}
}

func with(h head, change func(*head)) head {
	change(&h)
	return h
}

// names tells batches in words: lane, ticket and checksum.
func names(heads []head) string {
	var words []string
	for i := range heads {
		words = append(words, fmt.Sprintf("%s%d/%d", heads[i].Lane, heads[i].Number, heads[i].extent.CRC))
	}
	return strings.Join(words, " ")
}

func TestWhatTheLogExplainsIsNotExported(t *testing.T) {
	sequenced := func(first int32) func(*head) {
		return func(h *head) { h.Sequence = messages.Sequence{ProducerID: 9, ProducerEpoch: 1, First: first} }
	}
	logged := func(lane string, number uint64, sequence messages.Sequence) messages.Entry {
		return messages.Entry{Epoch: 5, Batches: []messages.Placeholder{{Batch: messages.Batch{Ticket: messages.Ticket{Lane: lane, Number: number}, Records: 1, Sequence: sequence}}}}
	}
	for name, c := range map[string]struct {
		heads   []head
		entries []messages.Entry
		left    string
		copies  int
		refused int
	}{
		"nothing explains it":                 {heads: []head{batch("a", 1, 1)}, left: "a1/1"},
		"the ticket is in the log":            {heads: []head{batch("a", 1, 1)}, entries: []messages.Entry{logged("a", 1, messages.Sequence{})}, copies: 1},
		"another ticket is in the log":        {heads: []head{batch("a", 1, 1)}, entries: []messages.Entry{logged("a", 2, messages.Sequence{}), logged("b", 1, messages.Sequence{})}, left: "a1/1"},
		"the same ticket of another epoch is": {heads: []head{batch("a", 1, 1)}, entries: []messages.Entry{{Epoch: 4, Batches: logged("a", 1, messages.Sequence{}).Batches}}, left: "a1/1"},
		"its producer has sent it again": {
			heads:   []head{with(batch("a", 7, 1), sequenced(3)), with(batch("a", 8, 2), sequenced(4))},
			entries: []messages.Entry{logged("a", 2, messages.Sequence{ProducerID: 9, ProducerEpoch: 1, First: 3})}, left: "a8/2", copies: 1,
		},
		"another epoch of the producer": {
			heads:   []head{with(batch("a", 7, 1), sequenced(3))},
			entries: []messages.Entry{logged("a", 2, messages.Sequence{ProducerID: 9, ProducerEpoch: 2, First: 3})}, left: "a7/1",
		},
		"it was refused": {
			heads:   []head{batch("a", 1, 1), batch("a", 2, 2)},
			entries: []messages.Entry{{Epoch: 5, Refused: []messages.LaneNumbers{{Lane: "a", Numbers: []uint64{2}}}}}, left: "a1/1", refused: 1,
		},
		"it was staged twice":                      {heads: []head{batch("a", 1, 1), with(batch("a", 1, 1), func(h *head) { h.extent.Key = "other" })}, left: "a1/1", copies: 1},
		"the same ticket with another payload":     {heads: []head{batch("a", 1, 1), batch("a", 1, 2)}, left: "a1/1 a1/2"},
		"sent twice by a producer, staged twice":   {heads: []head{with(batch("a", 1, 1), sequenced(3)), with(batch("a", 9, 1), sequenced(3))}, left: "a1/1", copies: 1},
		"in the order of tickets, lane for lane":   {heads: []head{batch("b", 2, 1), batch("a", 10, 2), batch("b", 1, 3), batch("a", 9, 4)}, left: "a9/4 a10/2 b1/3 b2/1"},
		"the same payload of different tickets is": {heads: []head{batch("a", 1, 1), batch("a", 2, 1)}, left: "a1/1 a2/1"},
	} {
		t.Run(name, func(t *testing.T) {
			found := candidates{heads: c.heads}
			s := newMatcher(&found)
			for i := range c.entries {
				s.entry(&c.entries[i])
			}
			s.finish()
			if got := names(found.heads); got != c.left || found.copies != c.copies || found.refused != c.refused {
				t.Errorf("%q, %d copies, %d refused; want %q, %d, %d", got, found.copies, found.refused, c.left, c.copies, c.refused)
			}
		})
	}
}

func TestExportNamesOffsetOfSameMessageID(t *testing.T) {
	found := candidates{heads: []head{with(batch("a", 1, 1), func(h *head) { h.MessageID = "x" }), batch("a", 2, 2)}}
	s := newMatcher(&found)
	s.entry(&messages.Entry{BaseOffset: 40, Batches: []messages.Placeholder{
		{Batch: messages.Batch{Ticket: messages.Ticket{Lane: "z", Number: 1}, Records: 2}}, {Batch: messages.Batch{Ticket: messages.Ticket{Lane: "z", Number: 2}, Records: 1, MessageID: "x"}},
	}})
	s.finish()
	if len(found.heads) != 2 || found.heads[0].messageIDAt != 42 || found.heads[1].messageIDAt != -1 {
		t.Errorf("found %+v", found.heads)
	}
}

func TestLanesAreSummedUp(t *testing.T) {
	heads := []head{batch("a", 3, 1), batch("a", 9, 2), batch("b", 1, 3)}
	heads[2].Records = 4
	got := lanes(heads)
	want := []Lane{
		{FrontendEpoch: 5, Lane: "a", FirstTicket: 3, LastTicket: 9, Batches: 2, Records: 2, Bytes: 20},
		{FrontendEpoch: 5, Lane: "b", FirstTicket: 1, LastTicket: 1, Batches: 1, Records: 4, Bytes: 10},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sums (+), want (-):\n%s", diff)
	}
}
