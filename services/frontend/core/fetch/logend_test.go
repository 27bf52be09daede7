package fetch

import (
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
)

func TestLogEndMovesForwardOnly(t *testing.T) {
	var e LogEnd
	now := time.Unix(1000, 0)
	e.Advance(now, LogState{First: 5, Last: 9, Readable: 9, Offset: 90})
	e.Advance(now, LogState{Last: 10, Readable: 10, Offset: 100})
	e.Advance(now, LogState{First: 5, Last: 9, Readable: 9, Offset: 90})
	if k := e.Known(); k.First != 5 || k.Last != 10 || k.Offset != 100 || e.Moves() != 2 {
		t.Errorf("%+v after %d moves", k, e.Moves())
	}
}

func TestRenewedLogEndMayMoveBack(t *testing.T) {
	now := time.Unix(1000, 0)
	shorter := LogState{First: 1, Last: 4, Readable: 4, Offset: 4}
	for name, c := range map[string]struct {
		meanwhile bool
		want      uint64
	}{"nothing came meanwhile": {false, 4}, "a commit came meanwhile": {true, 11}} {
		t.Run(name, func(t *testing.T) {
			var e LogEnd
			e.Advance(now, LogState{First: 1, Last: 10, Readable: 10, Offset: 10})
			moves := e.Moves()
			if c.meanwhile {
				e.Advance(now, LogState{Last: 11, Readable: 11, Offset: 11})
			}
			e.Renew(now, shorter, moves)
			if k := e.Known(); k.Last != c.want || k.Renewed != 1 {
				t.Errorf("%+v", k)
			}
		})
	}
}

func TestForgottenLogEndMayMoveBack(t *testing.T) {
	var e LogEnd
	now := time.Unix(1000, 0)
	e.Advance(now, LogState{First: 5, Last: 9, Readable: 9, Offset: 90})
	e.Forget()
	e.Advance(now, LogState{Last: 7, Readable: 7, Offset: 70})
	e.Advance(now, LogState{Last: 6, Readable: 6, Offset: 60})
	if k := e.Known(); !k.Valid || k.First != 5 || k.Last != 7 || k.Offset != 70 {
		t.Errorf("%+v", k)
	}
}

func TestEmptyLogIsKnown(t *testing.T) {
	var e LogEnd
	if e.Known().Valid {
		t.Error("known at the beginning")
	}
	e.Advance(time.Unix(1000, 0), LogState{First: 1})
	if !e.Known().Valid || e.Moves() != 1 {
		t.Errorf("%+v after %d moves", e.Known(), e.Moves())
	}
}

func TestReportedDamageIsPartOfWhatIsKnown(t *testing.T) {
	var e LogEnd
	damage := protocol.NewError(protocol.CodePartitionDamaged, "")
	e.SetReadOnly(damage)
	e.SetReadOnly(damage)
	if e.Known().Damage != damage || e.Moves() != 1 {
		t.Errorf("%+v after %d moves", e.Known(), e.Moves())
	}
	e.SetReadOnly(nil)
	if e.Known().Damage != nil || e.Moves() != 2 {
		t.Errorf("%+v after %d moves", e.Known(), e.Moves())
	}
}

func TestOneFetchConfirms(t *testing.T) {
	var e LogEnd
	now := time.Unix(1000, 0)
	e.Advance(now, LogState{Last: 1})
	if e.Confirm(now.Add(4*time.Second), 5*time.Second) {
		t.Error("confirmed although it was heard of within the heartbeat")
	}
	if now = now.Add(5 * time.Second); !e.Confirm(now, 5*time.Second) || e.Confirm(now, 5*time.Second) {
		t.Error("not exactly one of two fetches confirms")
	}
}
