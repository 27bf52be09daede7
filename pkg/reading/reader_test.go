package reading_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
	"laneway.dev/pkg/reading"
)

var fromEarliest = protocol.FetchRequest{From: protocol.FromEarliest, WindowBytes: 100, Follow: true}

// read lets a reader accept and deliver a frame.
func read(t *testing.T, r *reading.Reader, offset, count int64, bytes int) (credit bool) {
	t.Helper()
	from, err := r.Accept(offset, count)
	if err != nil {
		t.Fatal(err)
	}
	return r.Took(from, offset+count, bytes)
}

func wantLost(t *testing.T, err error) {
	t.Helper()
	if _, lost := errors.AsType[*reading.Lost](err); !lost {
		t.Errorf("error %v, want one that names lost messages", err)
	}
}

func TestFirstRequestNamesTheWantedPlace(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, wanted := range []protocol.FetchRequest{fromEarliest, {From: protocol.FromLatest}, {Time: &at, MaxRecords: 3}} {
		var r reading.Reader
		if got := r.Request(wanted); !reflect.DeepEqual(got, wanted) {
			t.Errorf("request %+v, want %+v", got, wanted)
		}
	}
}

func TestLaterRequestContinuesAfterWhatWasDelivered(t *testing.T) {
	var r reading.Reader
	r.Request(fromEarliest)
	read(t, &r, 0, 10, 1)
	read(t, &r, 10, 5, 1)
	wanted := fromEarliest
	wanted.MaxRecords = 20
	got := r.Request(wanted)
	if got.Offset == nil || *got.Offset != 15 || got.From != "" || got.MaxRecords != 5 {
		t.Errorf("request %+v, want offset 15 and 5 more records", got)
	}
}

func TestFrameMustFollowWhatWasDelivered(t *testing.T) {
	for name, c := range map[string]struct{ offset, count int64 }{
		"later": {11, 1}, "earlier": {0, 10}, "overlapping": {5, 10},
	} {
		t.Run(name, func(t *testing.T) {
			var r reading.Reader
			r.Request(fromEarliest)
			read(t, &r, 0, 10, 1)
			_, err := r.Accept(c.offset, c.count)
			wantLost(t, err)
		})
	}
}

func TestFirstFrameMayStartBelowTheWantedOffset(t *testing.T) {
	var r reading.Reader
	r.StartAt(7)
	r.Request(fromEarliest)
	if from, err := r.Accept(0, 10); err != nil || from != 7 {
		t.Errorf("from %d, %v, want 7", from, err)
	}
	_, err := r.Accept(0, 7)
	wantLost(t, err)
}

func TestLossOfTheFirstMessageIsNoticed(t *testing.T) {
	for name, receive := range map[string]func(*reading.Reader) error{
		"frame":  func(r *reading.Reader) error { _, err := r.Accept(8, 2); return err },
		"gap":    func(r *reading.Reader) error { _, err := r.Status(gap(8, 9), false); return err },
		"status": func(r *reading.Reader) error { _, err := r.Status(at(protocol.StatusEnd, 8), false); return err },
	} {
		t.Run(name, func(t *testing.T) {
			var r reading.Reader
			r.Request(protocol.FetchRequest{From: protocol.FromLatest})
			r.Starts(5)
			wantLost(t, receive(&r))
			if again := r.Request(protocol.FetchRequest{From: protocol.FromLatest}); again.Offset == nil || *again.Offset != 5 {
				t.Errorf("request %+v, want offset 5", again)
			}
		})
	}
}

func TestStartOfALaterFetchChangesNothing(t *testing.T) {
	var r reading.Reader
	r.Request(fromEarliest)
	read(t, &r, 0, 10, 1)
	r.Starts(3)
	if next, known := r.Next(); !known || next != 10 {
		t.Errorf("next offset %d, known %t, want 10", next, known)
	}
}

func TestCreditIsTheTotalOfTheFetch(t *testing.T) {
	var r reading.Reader
	r.Request(fromEarliest)
	if read(t, &r, 0, 1, 24) {
		t.Error("a credit is due below a quarter of the window")
	}
	if !read(t, &r, 1, 1, 1) || r.Credit() != 25 {
		t.Errorf("credit %d, want 25 to be due", r.Credit())
	}
	r.Credited()
	if read(t, &r, 2, 1, 24) {
		t.Error("a credit is due although the last one was just granted")
	}
	if r.Credit() != 49 {
		t.Errorf("credit %d, want 49", r.Credit())
	}
	r.Request(fromEarliest)
	if r.Credit() != 0 {
		t.Errorf("credit %d in a new fetch, want 0", r.Credit())
	}
}

func TestCreditIsDueAfterManyEmptyMessages(t *testing.T) {
	var r reading.Reader
	r.Request(fromEarliest)
	for n := range int64(4095) {
		if read(t, &r, n, 1, 0) {
			t.Fatalf("a credit is due after %d messages", n+1)
		}
	}
	if !read(t, &r, 4095, 1, 0) {
		t.Error("no credit is due after 4096 messages")
	}
}
