package random

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Shrunk is a small run that goes wrong in the way of a large one.
type Shrunk struct {
	Config    Config
	Violation error
	Runs      int // that it took
}

// Command repeats the run, with a trace and a picture.
func (c Config) Command() string {
	if c.String() == Seeded(c.Seed).String() {
		return fmt.Sprintf("make sim SEED=%d TRACE=1", c.Seed)
	}
	return fmt.Sprintf("make sim CONFIG='%s' TRACE=1", c)
}

// String returns what goes wrong, and the command that repeats it.
func (s Shrunk) String() string {
	return fmt.Sprintf("shrunk in %d runs: %s\nto see that: %s", s.Runs, firstLine(s.Violation), s.Config.Command())
}

// firstLine returns a violation without the stack of a panic.
func firstLine(violation error) string {
	line, _, _ := strings.Cut(violation.Error(), "\n")
	return line
}

// Shrink looks for the smallest run that fails in the same way as a failed run. It tries
// fewer clients, batches and kinds of faults, a shorter time, and the run without single
// disturbances. Most changes alter the whole schedule, so each is tried with some other
// seeds too.
func Shrink(config Config) Shrunk {
	return shrink(config, func(c Config) error { return Check(c, nil) })
}

// Check runs a configuration and returns its violation; the failed assertion of a core
// is one too. trace may be nil. After a panic it has what happened before.
func Check(config Config, trace *Trace) (violation error) {
	defer func() {
		if p := recover(); p != nil {
			violation = fmt.Errorf("panic: %v", p)
		}
	}()
	return Run(config, trace).Violation
}

// seedsPerStep is how many seeds a smaller run is tried with before it counts as
// passing.
const seedsPerStep = 60

func shrink(config Config, run func(Config) error) Shrunk {
	s := Shrunk{Config: config, Violation: run(config), Runs: 1}
	if s.Violation == nil || errors.Is(s.Violation, errVacuous) {
		return s
	}
	kind := kindOf(s.Violation)
	for again := true; again; {
		again = false
		for _, smaller := range reductions {
			for c, tried := smaller(s.Config), 0; tried < len(c); tried++ {
				found := s.attempt(c[tried], kind, run)
				again = again || found
				if found { // go on from the smaller one
					c, tried = smaller(s.Config), -1
				}
			}
		}
	}
	return s
}

// attempt takes a smaller run if it goes wrong in the same way.
func (s *Shrunk) attempt(c Config, kind string, run func(Config) error) bool {
	for n := range uint64(seedsPerStep) {
		c.Seed = s.Config.Seed + n
		s.Runs++
		if err := run(c); err != nil && kindOf(err) == kind {
			s.Config, s.Violation = c, err
			return true
		}
	}
	return false
}

var particular = regexp.MustCompile(`[0-9]+|true|false|\b[ip]:\S*|\b(frontend|stager|sequencer|replicator)\b`)

// named is the name of a partition that a violation has if there are several.
var named = regexp.MustCompile(`\bpartition [0-9]+: `)

// kindOf returns a violation without what is particular to a run.
func kindOf(violation error) string {
	return particular.ReplaceAllString(named.ReplaceAllString(firstLine(violation), ""), "#")
}

// reductions make smaller runs of one, each in its way; those that save most come first.
var reductions = []func(Config) []Config{anyFaults, fewerPartitions, fewerClients, fewerBatches, shorter, fewerFaults, fewerDisturbances}

// anyFaults wants no particular number of faults.
func anyFaults(c Config) []Config {
	if c.Faults == 0 {
		return nil
	}
	c.Faults = 0
	return []Config{c}
}

// fewerPartitions tries fewer partitions and logs, those that exist from the beginning, turns of one
// event, and messages that travel by themselves.
func fewerPartitions(c Config) []Config {
	all := lower(c, c.Partitions, 1, func(c *Config, n int) { c.Partitions = n })
	all = append(all, lower(c, c.Logs, 1, func(c *Config, n int) { c.Logs = n })...)
	if c.Late {
		smaller := c
		smaller.Late = false
		all = append(all, smaller)
	}
	if c.Busy {
		smaller := c
		smaller.Busy = false
		all = append(all, smaller)
	}
	if c.Parcels {
		c.Parcels = false
		all = append(all, c)
	}
	return all
}

func fewerClients(c Config) []Config {
	return lower(c, c.Clients, 1, func(c *Config, n int) { c.Clients = n })
}

func fewerBatches(c Config) []Config {
	return lower(c, c.Batches, 1, func(c *Config, n int) { c.Batches = n })
}

func shorter(c Config) []Config {
	const unit = 500 * time.Millisecond
	return lower(c, int(c.ActiveTime/unit), 1, func(c *Config, n int) { c.ActiveTime = time.Duration(n) * unit })
}

// lower tries the half of a number, then the next lower one.
func lower(c Config, n, least int, set func(*Config, int)) []Config {
	var all []Config
	for _, less := range slices.Compact([]int{n / 2, n - 1}) {
		if less >= least && less < n {
			smaller := c
			set(&smaller, less)
			all = append(all, smaller)
		}
	}
	return all
}

// fewerDisturbances leaves single disturbances out, if there are any.
func fewerDisturbances(c Config) []Config {
	m := &c.Mix
	if m.Crash+m.Hang+m.Zombie+m.Cut+m.LeaderChange+m.ClientRestart+m.ClientZombie+m.NameLost+m.SnapshotsLost == 0 {
		if len(c.Without) > 0 {
			c.Without = nil // nothing is left to be left out
			return []Config{c}
		}
		return nil
	}
	var all []Config
	for n := range mostDisturbances {
		if !c.without(n) {
			smaller := c
			smaller.Without = append(slices.Clone(c.Without), n)
			all = append(all, smaller)
		}
	}
	return all
}

// mostDisturbances is how many there are in a run at most.
const mostDisturbances = 12

// unlessLeftOut returns the next disturbance of a run, or what does nothing instead.
func (r *run) unlessLeftOut(do func()) func() {
	r.planned++
	if r.config.without(r.planned - 1) {
		return func() {}
	}
	return do
}

// without reports whether a disturbance is left out.
func (c *Config) without(n int) bool { return slices.Contains(c.Without, n) }

// fewerFaults leaves whole kinds of faults out.
func fewerFaults(c Config) []Config {
	var all []Config
	mix := reflect.TypeFor[Mix]()
	for i := range mix.NumField() {
		smaller := c
		field := reflect.ValueOf(&smaller.Mix).Elem().Field(i)
		if field.IsZero() || field.Kind() == reflect.String {
			continue
		}
		field.SetZero()
		all = append(all, smaller)
	}
	return all
}
