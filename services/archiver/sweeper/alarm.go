package sweeper

import "laneway.dev/services/archiver/core/sweep"

// words are the names of alarms in metrics, in NATS and in the documentation.
func words(a sweep.Alarm) string {
	switch a {
	case sweep.LogOlder:
		return "log older"
	case sweep.StoreOlder:
		return "store older"
	}
	return ""
}
