package reading_test

import (
	"errors"
	"testing"

	"laneway.dev/pkg/protocol"
	"laneway.dev/pkg/reading"
)

// at returns a status that names the next offset only.
func at(code string, next int64) reading.Status {
	return reading.Status{Code: code, Next: next, GapFrom: -1, GapTo: -1}
}

func gap(first, last int64) reading.Status {
	return reading.Status{Code: protocol.StatusGap, Next: -1, GapFrom: first, GapTo: last}
}

func failed(code protocol.Code, first, last int64) reading.Status {
	return reading.Status{Code: code.FetchStatus(), Err: protocol.NewError(code, ""), Next: -1, GapFrom: first, GapTo: last}
}

// Each status arrives after the records below offset 10.
func TestStatusDecidesWhatTheConsumerDoes(t *testing.T) {
	follow, limited, both := fromEarliest, fromEarliest, fromEarliest
	limited.Follow, limited.MaxRecords = false, 10
	both.MaxRecords = 10
	once := protocol.FetchRequest{From: protocol.FromEarliest}
	const skip, keep = true, false
	const none = protocol.CodeOK

	for name, c := range map[string]struct {
		wanted protocol.FetchRequest
		skip   bool
		status reading.Status
		action reading.Action
		code   protocol.Code // of the error; messages are lost if the action is Leave
	}{
		"heartbeat":                        {follow, keep, at(protocol.StatusHeartbeat, 10), reading.Credit, none},
		"heartbeat without an offset":      {follow, keep, at(protocol.StatusHeartbeat, -1), reading.Credit, none},
		"heartbeat behind a lost message":  {follow, keep, at(protocol.StatusHeartbeat, 11), reading.Leave, none},
		"gap":                              {follow, keep, gap(10, 14), reading.PassGap, none},
		"gap behind a lost message":        {follow, keep, gap(11, 14), reading.Leave, none},
		"gap that was delivered":           {follow, keep, gap(9, 14), reading.Leave, none},
		"gap that ends before it starts":   {follow, keep, gap(10, 9), reading.Leave, none},
		"gap without its first offset":     {follow, keep, gap(-1, 14), reading.Fail, protocol.CodeInternal},
		"gap without its last offset":      {follow, keep, gap(10, -1), reading.Fail, protocol.CodeInternal},
		"end":                              {once, keep, at(protocol.StatusEnd, 10), reading.End, none},
		"end without an offset":            {once, keep, at(protocol.StatusEnd, -1), reading.End, none},
		"end behind a lost message":        {once, keep, at(protocol.StatusEnd, 11), reading.Leave, none},
		"end of what was limited":          {limited, keep, at(protocol.StatusEnd, 10), reading.End, none},
		"end of a follow":                  {follow, keep, at(protocol.StatusEnd, 10), reading.FetchAgain, protocol.CodeUnavailable},
		"end of a follow behind a loss":    {follow, keep, at(protocol.StatusEnd, 11), reading.Leave, none},
		"end of a follow that is complete": {both, keep, at(protocol.StatusEnd, 10), reading.End, none},
		"no records":                       {once, keep, at(protocol.StatusNoRecords, 10), reading.End, none},
		"no records after a loss":          {once, keep, at(protocol.StatusNoRecords, 11), reading.Leave, none},
		"damage":                           {follow, keep, failed(protocol.CodeCorrupt, 10, 14), reading.Fail, protocol.CodeCorrupt},
		"damage to skip":                   {follow, skip, failed(protocol.CodeCorrupt, 10, 14), reading.PassDamage, protocol.CodeCorrupt},
		"damage to skip, behind a loss":    {follow, skip, failed(protocol.CodeCorrupt, 11, 14), reading.Leave, none},
		"damage up to the end":             {follow, skip, failed(protocol.CodeCorrupt, 10, -1), reading.Fail, protocol.CodeCorrupt},
		"damage at an unknown place":       {follow, skip, failed(protocol.CodeCorrupt, -1, 14), reading.Fail, protocol.CodeCorrupt},
		"deleted records":                  {follow, keep, failed(protocol.CodeOffsetOutOfRange, 10, 14), reading.PassDeleted, protocol.CodeOffsetOutOfRange},
		"deleted records behind a loss":    {follow, keep, failed(protocol.CodeOffsetOutOfRange, 11, 14), reading.Leave, none},
		"offset beyond the end":            {follow, keep, failed(protocol.CodeOffsetOutOfRange, -1, -1), reading.Fail, protocol.CodeOffsetOutOfRange},
		"other error with a gap":           {follow, skip, failed(protocol.CodeUnknownTopic, 10, 14), reading.Fail, protocol.CodeUnknownTopic},
		"retryable error":                  {once, keep, failed(protocol.CodeUnavailable, -1, -1), reading.FetchAgain, protocol.CodeUnavailable},
		"final error":                      {once, keep, failed(protocol.CodeUnknownTopic, -1, -1), reading.Fail, protocol.CodeUnknownTopic},
		"status without a meaning here":    {follow, keep, at(protocol.StatusCancelled, 10), reading.Fail, protocol.CodeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			var r reading.Reader
			r.Request(c.wanted)
			read(t, &r, 0, 10, 1)
			action, err := r.Status(c.status, c.skip)
			if action != c.action {
				t.Errorf("action %d with error %v, want action %d", action, err, c.action)
			}
			switch {
			case c.action == reading.Leave:
				wantLost(t, err)
			case c.code != none:
				if !errors.Is(err, protocol.NewError(c.code, "")) {
					t.Errorf("error %v, want code %d", err, c.code)
				}
			case err != nil:
				t.Errorf("error %v, want none", err)
			}
			if next, _ := r.Next(); next != 10 {
				t.Errorf("the status moved the next offset to %d", next)
			}
		})
	}
}

func TestStatusBeforeTheFirstMessageNamesTheStart(t *testing.T) {
	var r reading.Reader
	r.Request(protocol.FetchRequest{From: protocol.FromLatest})
	if action, err := r.Status(at(protocol.StatusHeartbeat, -1), false); action != reading.Credit {
		t.Fatalf("action %d, %v", action, err)
	}
	if next, known := r.Next(); known {
		t.Errorf("next offset %d from a heartbeat that names none", next)
	}
	if action, err := r.Status(at(protocol.StatusHeartbeat, 12), false); action != reading.Credit {
		t.Fatalf("action %d, %v", action, err)
	}
	if next, known := r.Next(); !known || next != 12 {
		t.Errorf("next offset %d, known %t, want 12", next, known)
	}
}

func TestOffsetThatTheConsumerHasNamedIsNotDeletedButWrong(t *testing.T) {
	var r reading.Reader
	r.StartAt(10)
	r.Request(protocol.FetchRequest{})
	deleted := failed(protocol.CodeOffsetOutOfRange, 10, 14)
	if action, err := r.Status(deleted, true); action != reading.Fail || !errors.Is(err, protocol.NewError(protocol.CodeOffsetOutOfRange, "")) {
		t.Errorf("action %d, %v", action, err)
	}
	r.Request(protocol.FetchRequest{})
	read(t, &r, 8, 3, 1) // a frame with offset 10
	if action, err := r.Status(failed(protocol.CodeOffsetOutOfRange, 11, 14), false); action != reading.PassDeleted {
		t.Errorf("after a record was delivered: action %d, %v", action, err)
	}
}

func TestRecordsFollowAPassedGap(t *testing.T) {
	var r reading.Reader
	r.Request(fromEarliest)
	read(t, &r, 0, 10, 1)
	r.Passed(14)
	if next, _ := r.Next(); next != 15 || r.Delivered() != 10 {
		t.Errorf("next offset %d, %d records delivered; want 15 and 10", next, r.Delivered())
	}
}

func TestReadingIsCompleteAfterAllWantedRecords(t *testing.T) {
	var r reading.Reader
	wanted := fromEarliest
	wanted.MaxRecords = 12
	r.Request(wanted)
	read(t, &r, 0, 10, 1)
	if r.Complete() {
		t.Error("complete after 10 of 12 records")
	}
	r.Request(wanted)
	read(t, &r, 10, 2, 1)
	if !r.Complete() {
		t.Error("not complete after 12 of 12 records")
	}
	if r.Request(fromEarliest); r.Complete() {
		t.Error("complete although all records are wanted")
	}
}
