package fetch

import (
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
)

// FuzzRequest reads the same bytes as a fetch request and as a credit: nobody
// else checks what consumers send.
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
		account := newAccount(max(window, 0), time.Time{})
		account.spend(account.window / 2)
		account.grant(data, time.Time{})
		if credit, _, _ := account.read(); credit < account.window/2 || credit > account.window {
			t.Fatalf("credit %d of %d", credit, account.window)
		}
		r, err := parse(data)
		if err != nil {
			if err.Code != protocol.CodeInvalidRequest {
				t.Fatal(err)
			}
			return
		}
		if r.WindowBytes < 0 || r.WindowBytes > maxWindow || r.wait < 0 || r.wait > maxWait || r.MaxRecords < 0 || r.MaxBytes < 0 {
			t.Fatalf("%+v", r)
		}
		if r.WindowBytes == 0 && (r.MaxBytes < 1 || r.MaxBytes > maxMaxBytes) {
			t.Fatalf("neither window nor bytes bound %+v", r)
		}
	})
}
