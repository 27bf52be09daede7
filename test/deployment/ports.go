package deployment

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Ports are taken from below those that the kernel gives to outgoing
// connections: a process that is killed and started again needs the same one.
const (
	firstPort = 20000
	lastPort  = 32000
)

// Address returns a free address of the loopback interface.
func Address(t testing.TB) string {
	t.Helper()
	const tries = 100
	for range tries {
		a := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort))
		var config net.ListenConfig
		listener, err := config.Listen(t.Context(), "tcp", a)
		if err != nil {
			continue // taken
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return a
	}
	t.Fatalf("no free port found in %d tries", tries)
	return ""
}
