package core

// RestBeats is one of how many beats a core at rest takes part in.
const RestBeats = restBeats

// AtRest reports whether the core needs no beat every Heartbeat.
func (c *Core) AtRest() bool { return c.atRest() }
