package main

import (
	"os"
	"runtime/debug"
)

// tuneMemory trades memory for time in a process that serves: what lives is small
// and bounded, what passes through is much, so the default collects garbage many
// times a second. GOGC and GOMEMLIMIT win.
func tuneMemory() {
	const percent, limit = 400, 2 << 30
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
}
