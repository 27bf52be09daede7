package partitionlog_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"laneway.dev/internal/embedded"
)

// serverFolder is the variable that makes this test binary a server in a folder, which a test
// can kill.
const serverFolder = "LANEWAY_TEST_SERVER_FOLDER"

func TestMain(m *testing.M) {
	if folder := os.Getenv(serverFolder); folder != "" {
		serve(folder)
	}
	goleak.VerifyTestMain(m)
}

// serve runs a server until it is killed, or its standard input ends. It prints its URL.
func serve(folder string) {
	s, err := embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: folder})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.ClientURL())
	_, _ = os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
}
