package process

import (
	"testing"
	"time"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/topics"
)

func TestDefaultsOfTheStagerFollowItsStore(t *testing.T) {
	flags := StagerFlags{Uploads: 8}
	var local, remote, given Config
	flags.Apply(&local, nil, false)
	flags.Apply(&remote, nil, true)
	linger, most, puts := cli.Delay(0), cli.Number(9), cli.Number(7)
	flags.Linger, flags.MaxUploads, flags.MaxPutsPerSecond = &linger, &most, &puts
	flags.Apply(&given, nil, true)

	if s := local.Stager; s.Linger != 0 || s.MostUploads != 0 || s.PutsPerSecond != 0 || s.Hedge {
		t.Errorf("a local store: %+v, want no linger, no other limits and no repeated put", s)
	}
	if s := remote.Stager; s.Linger != 250*time.Millisecond || s.MostUploads != 64 || s.PutsPerSecond != 200 || !s.Hedge {
		t.Errorf("a remote store: %+v, want its defaults", s)
	}
	if s := given.Stager; s.Linger != 0 || s.MostUploads != 9 || s.PutsPerSecond != 7 {
		t.Errorf("flags that are given: %+v, want them", s)
	}
}

func TestNumberOfLogsIsBounded(t *testing.T) {
	for number, allowed := range map[cli.Number]bool{1: true, topics.MaxLogs: true, topics.MaxLogs + 1: false} {
		if err := (&FrontendFlags{Logs: &number}).Validate(); (err == nil) != allowed {
			t.Errorf("%d logs: %v", number, err)
		}
	}
	if err := (&FrontendFlags{}).Validate(); err != nil {
		t.Errorf("without the flag: %v", err)
	}
}
