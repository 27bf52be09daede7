package cli

import "testing"

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"nats://127.0.0.1:4222":           "nats://127.0.0.1:4222",
		"nats://a:secret@one,nats://two":  "nats://a:xxxxx@one,nats://two",
		"nats://a:secret@one:port":        "(a URL that cannot be shown)",
		"127.0.0.1:4222":                  "127.0.0.1:4222",
		"nats://one, nats://b:secret@two": "nats://one,nats://b:xxxxx@two",
	} {
		if got := Redact(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
