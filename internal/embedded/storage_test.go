package embedded

import "testing"

func TestARestartWaitsForRoomThatStays(t *testing.T) {
	type sight struct {
		problem string
		free    int64
	}
	full, room := sight{"write error", 0}, sight{"write error", storageRoom}
	for name, c := range map[string]struct {
		sights []sight
		want   bool
	}{
		"nothing is wrong":           {[]sight{{free: 1 << 40}, {free: 1 << 40}, {free: 1 << 40}}, false},
		"full":                       {[]sight{full, full, full, full}, false},
		"room is there and stays":    {[]sight{full, room, room, room}, true},
		"room comes and goes":        {[]sight{room, room, full, room, room}, false},
		"less room than a log needs": {[]sight{{"x", storageRoom - 1}, {"x", storageRoom - 1}, {"x", storageRoom - 1}}, false},
	} {
		var w storageWatch
		got := false
		for _, s := range c.sights {
			got = w.look(s.problem, s.free)
		}
		if got != c.want {
			t.Errorf("%s: restart is %v, want %v", name, got, c.want)
		}
	}
}
