package protocol

import (
	"math"
	"strings"
	"testing"
)

func TestValidTopicName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "Z": true, "0": true, "_": true, "-": true, "orders-2026_A": true,
		strings.Repeat("x", 64): true, strings.Repeat("x", 65): false,
		"": false, ".": false, "*": false, ">": false, " ": false, "/": false,
		"a.b": false, ".a": false, "a.": false, "a b": false, "a*": false, "a>b": false, "a\x00b": false,
		"a\nb": false, "a\\b": false, "a/b": false, "ä": false, "aäb": false, "a\xffb": false, "a\xc3": false,
		"a..b": false, "a.b.c": false, "a\u200bb": false,
	} {
		if got := ValidTopicName(name); got != want {
			t.Errorf("ValidTopicName(%q) is %v", name, got)
		}
	}
}

func TestTopicNameChecksEveryByte(t *testing.T) {
	for b := range 256 {
		letter := b == '_' || b == '-' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
		for _, name := range []string{string([]byte{byte(b)}), string([]byte{byte(b), 'x'}), string([]byte{'x', byte(b)}), string([]byte{'x', byte(b), 'x'})} {
			if got := ValidTopicName(name); got != letter {
				t.Errorf("ValidTopicName(%q) is %v", name, got)
			}
		}
	}
}

func TestReplyToAllowsOnlyInboxes(t *testing.T) {
	for reply, want := range map[string]bool{
		"": true, "_INBOX.a.b": true, "_R_.x.y": true, "my.inbox.1": true,
		"$KV.LANEWAY_TOPICS.orders": false, "$JS.API.STREAM.DELETE.S": false, "_laneway.log.orders.0.4d": false,
		"_laneway.stage": false, "laneway.api.topic.delete": false, "laneway.produce.orders.0": false,
	} {
		if got := ReplyTo(reply); (got == reply) != want || !want && got != "" {
			t.Errorf("the answer to %q goes to %q", reply, got)
		}
	}
}

func TestPartitionsOfATopicAreSpreadOverItsLogs(t *testing.T) {
	for _, topic := range []Topic{{ID: 1, Logs: 4}, {ID: 1 << 63, Logs: 4}, {ID: 77, Logs: 16}} {
		counts := make(map[uint16]int)
		for n := range 4 * topic.Logs {
			counts[topic.Partition(n).Log]++
		}
		for log := range topic.Logs {
			if counts[uint16(log)] != 4 {
				t.Errorf("topic %d: %d of %d partitions are in log %d, want 4", topic.ID, counts[uint16(log)], 4*topic.Logs, log)
			}
		}
	}
	// A partition keeps its log for life, so the hash must never change.
	if got := (Topic{ID: math.MaxUint64, Logs: 4}).Partition(3).Log; got != 2 {
		t.Errorf("the partition is in log %d, want 2", got)
	}
	for n, want := range []uint16{0, 1, 2, 3} {
		if got := (Topic{ID: 77, Logs: 4}).Partition(n).Log; got != want {
			t.Errorf("partition %d is in log %d, want %d", n, got, want)
		}
	}
	if got := (Topic{ID: 77}).Partition(1).Log; got != 0 {
		t.Errorf("a topic without a number of logs has log %d", got)
	}
}
