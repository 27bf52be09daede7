package fetch

import (
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
)

// FuzzRequest reads the same bytes as a fetch request and as a credit: no other code
// checks what consumers send.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{"offset":0}`, `{"from":"latest","follow":true,"window_bytes":9223372036854775807}`,
		`{"time":"2026-01-01T00:00:00Z","max_wait_ms":9223372036854775807}`, `{"offset":-1,"max_bytes":1e3}`, `{"offset":0}{}`,
		"0", " 17\n", "-1", "9223372036854775807", "9223372036854775808",
	} {
		f.Add([]byte(seed), int64(0))
		f.Add([]byte(seed), int64(1000))
	}
	f.Fuzz(func(t *testing.T, data []byte, window int64) {
		p := newPace(max(window, 0), Settings{}, time.Time{})
		p.spend(int(p.window/2), time.Time{})
		p.grant(data, time.Time{})
		if p.credit() < p.window/2 || p.credit() > p.window {
			t.Fatalf("credit %d of %d", p.credit(), p.window)
		}
		r, err := Parse(data)
		if err != nil {
			if err.Code != protocol.CodeInvalidRequest {
				t.Fatal(err)
			}
			return
		}
		if r.WindowBytes < 0 || r.WindowBytes > MaxWindow || r.wait < 0 || r.wait > MaxWait || r.MaxRecords < 0 || r.MaxBytes < 0 {
			t.Fatalf("%+v", r)
		}
		if r.WindowBytes == 0 && (r.MaxBytes < 1 || r.MaxBytes > MaxMaxBytes) {
			t.Fatalf("neither window nor bytes bound %+v", r)
		}
	})
}
