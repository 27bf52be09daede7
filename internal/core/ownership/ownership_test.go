package ownership_test

import (
	"testing"
	"time"

	"laneway.dev/internal/core/ownership"
)

const now = 1_700_000_000

func TestReplacedBy(t *testing.T) {
	for name, c := range map[string]struct {
		own, found ownership.Assignment
		want       bool
	}{
		"higher epoch of another instance": {own: ownership.Assignment{Epoch: 7, Instance: "a"}, found: ownership.Assignment{Epoch: 8, Instance: "b"}, want: true},
		"higher epoch of its own":          {own: ownership.Assignment{Epoch: 7, Instance: "a"}, found: ownership.Assignment{Epoch: 8, Instance: "a"}},
		"its own epoch":                    {own: ownership.Assignment{Epoch: 7, Instance: "a"}, found: ownership.Assignment{Epoch: 7, Instance: "a"}},
		"restored record":                  {own: ownership.Assignment{Epoch: 7, Instance: "a"}, found: ownership.Assignment{Epoch: 6, Instance: "b"}},
		"lost record":                      {own: ownership.Assignment{Epoch: 7, Instance: "a"}},
		"no epoch taken yet":               {own: ownership.Assignment{Instance: "a"}, found: ownership.Assignment{Epoch: 8, Instance: "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.own.ReplacedBy(c.found); got != c.want {
				t.Errorf("%+v is replaced by %+v: %t, want %t", c.own, c.found, got, c.want)
			}
		})
	}
}

func TestNextEpoch(t *testing.T) {
	for name, c := range map[string]struct {
		own, found ownership.Assignment
		above      uint64
		want       uint64 // 0 if replaced
	}{
		"first start":                     {own: ownership.Assignment{Instance: "a"}, want: now},
		"start after another instance":    {own: ownership.Assignment{Instance: "a"}, found: ownership.Assignment{Epoch: now + 5, Instance: "b"}, want: now + 6},
		"record below the time":           {own: ownership.Assignment{Instance: "a"}, found: ownership.Assignment{Epoch: 5, Instance: "b"}, want: 6},
		"fenced by a higher epoch":        {own: ownership.Assignment{Epoch: 7, Instance: "a"}, found: ownership.Assignment{Epoch: 7, Instance: "a"}, above: 20, want: 21},
		"fenced by its own epoch":         {own: ownership.Assignment{Epoch: 7, Instance: "a"}, found: ownership.Assignment{Epoch: 7, Instance: "a"}, above: 7, want: 8},
		"fenced after a restored record":  {own: ownership.Assignment{Epoch: 7, Instance: "a"}, found: ownership.Assignment{Epoch: 3, Instance: "b"}, above: 9, want: 10},
		"fenced after a lost record":      {own: ownership.Assignment{Epoch: 7, Instance: "a"}, above: 9, want: now},
		"fenced from ahead of the clock":  {own: ownership.Assignment{Epoch: now + 7, Instance: "a"}, above: now + 9, want: now + 10},
		"acknowledgement of epoch 9 lost": {own: ownership.Assignment{Epoch: 7, Instance: "a"}, found: ownership.Assignment{Epoch: 9, Instance: "a"}, above: 8, want: 10},
		"fenced by a younger instance":    {own: ownership.Assignment{Epoch: 7, Instance: "a"}, found: ownership.Assignment{Epoch: 8, Instance: "b"}, above: 8},
	} {
		t.Run(name, func(t *testing.T) {
			next, replaced := c.own.Next(c.found, c.above, time.Unix(now, 0))
			want := ownership.Assignment{Epoch: c.want, Instance: "a"}
			if c.want == 0 {
				want = ownership.Assignment{}
			}
			if next != want || replaced != (c.want == 0) {
				t.Errorf("next %+v, replaced %t, want %+v", next, replaced, want)
			}
		})
	}
}

func TestFirstEpochIsNotZeroWhateverTheClock(t *testing.T) {
	for _, clock := range []time.Time{{}, time.Unix(0, 0)} {
		if next, _ := (ownership.Assignment{Instance: "a"}).Next(ownership.Assignment{}, 0, clock); next.Epoch != 1 {
			t.Errorf("epoch %d at %s, want 1", next.Epoch, clock)
		}
	}
}
