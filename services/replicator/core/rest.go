package core

// restBeats is one of how many beats a core at rest takes part in: with the Heartbeat of production,
// it has one every 5 s.
const restBeats = 25

// atRest reports whether the core needs no beat every Heartbeat. It then does nothing without an event
// but what may be late by restBeats: to have old entries archived and old records dropped, to send a
// silent or failed job again, to take a second snapshot and purge once the log is idle, to repeat a
// snapshot or a purge that has failed, to write the mark again while nothing is archived, and to evict
// what is remembered for too long. All else follows from an event, or lasts until the core is at rest.
func (c *Core) atRest() bool {
	switch {
	case c.phase != leading, c.stopping, c.appending, !c.helloAnswered:
		return false
	case c.reserve.Mark.Reserved != c.end(): // an exact mark is due once the log is idle
		return false
	}
	return !c.waiting() && c.partition.Rests(restBeats*c.settings.Heartbeat)
}
