package journal

import (
	"testing"

	"laneway.dev/pkg/messages"
)

// While thousands of logs recover, there is always another look, and none of the appends may wait for the last.
func TestAppendsAndLooksTakeTurns(t *testing.T) {
	a := NewAppender("w", Limits{Sections: 1, Bytes: 64})
	a.Start()
	fx := a.Step([]Event{Groups{AtEnd: true}})
	id, appends, reads := uint64(0), 0, 0
	for step := range 20 {
		id += 2
		more := []Event{
			Look{ID: id},
			Request{ID: id + 1, Section: messages.Section{Log: messages.LogID{TopicID: id}, Kind: messages.SectionFirst, Entry: []byte("e")}},
		}
		fx = a.Step(more)
		if step > 0 && (fx.Append != nil || fx.Read != 0) {
			t.Fatal("an append or a read begins while another one is under way")
		}
		var end Event = Groups{Through: uint64(appends), AtEnd: true}
		if a.appending {
			appends++
			end = Appended{Sequence: uint64(appends)}
		} else {
			reads++
		}
		a.Step([]Event{end})
	}
	if appends != 10 || reads != 10 {
		t.Errorf("%d appends and %d reads, want 10 each", appends, reads)
	}
}
