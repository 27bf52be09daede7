package producers

import (
	"strings"
	"testing"

	"laneway.dev/pkg/protocol"
)

func TestOnlyAnInitWithoutANameIsServedAtOnce(t *testing.T) {
	for body, want := range map[string]bool{
		`{}`:                                  true,
		`{"name":""}`:                         true,
		`{"instance":"name"}`:                 true,
		`{"name":"feed","topics":["orders"]}`: false,
		`{"Name":"feed","topics":["orders"]}`: false,
		`{"n\u0061me":"feed","topics":["a"]}`: false,
		`{`:                                   false,
		strings.Repeat(" ", protocol.MaxAPIRequest) + `{}`: false,
	} {
		if got := nameless([]byte(body)); got != want {
			t.Errorf("%.40q: %t, want %t", body, got, want)
		}
	}
}
