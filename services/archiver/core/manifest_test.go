package core

import (
	"fmt"
	"testing"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
)

func TestWaitingKeysAreBounded(t *testing.T) {
	var m manifest.Manifest
	for i := range maxWaiting + 10 {
		m.Waiting = append(m.Waiting, fmt.Sprint(i))
	}
	content, h := Seal(&m, "m/1/a", segment.Summary{})
	read, err := manifest.Decode("m/1/a", content)
	if err != nil || len(read.Waiting) != maxWaiting || read.Waiting[0] != "10" || h.Size != int64(len(content)) {
		t.Errorf("%d keys wait from %q on, history %+v, %v", len(read.Waiting), read.Waiting[0], h, err)
	}
}
