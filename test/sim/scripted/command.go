package scripted

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/world"
)

// Command is a line of a script.
type Command struct {
	Name    string
	Words   []string          // without a value
	Options map[string]string // with one
}

// Do carries out a command, and returns what happens. The error is one of the script.
func (s *Script) Do(c Command) (text string, err error) {
	defer func() {
		if p := recover(); p != nil {
			mistaken, is := p.(mistake)
			if !is {
				panic(p)
			}
			err = mistaken
		}
	}()
	s.lines = nil
	s.do(&c)
	s.run()
	if len(s.lines) == 0 {
		s.Say("nothing happens")
	}
	if slices.Contains(c.Words, "brief") {
		s.lines = slices.DeleteFunc(s.lines, func(line string) bool { return strings.HasPrefix(line, " ") })
		if len(s.lines) == 0 {
			s.Say("(not shown)")
		}
	}
	return strings.Join(s.lines, "\n"), s.Violation
}

// mistake is the panic of a command that cannot be carried out.
type mistake string

func (m mistake) Error() string { return string(m) }

func (s *Script) do(c *Command) {
	switch c.Name {
	case "start":
		for _, word := range c.Words {
			s.startRole(word)
		}
	case "client":
		s.connect(c.word() == "plain")
	case "archive":
		s.startArchiving(c.number("snapshots", 1000))
	case "consumer":
		s.consume(c)
	case "produce":
		s.produce(s.instance(c.word()), c.number("records", 1), c.Options["to"])
	case "kill":
		s.Die(s.process(c.word()), "killed")
	case "hang":
		p := s.process(c.word())
		s.Say("%s hangs", p)
		p.Hangs = s.Now.Add(24 * time.Hour)
	case "wake":
		p := s.process(c.word())
		s.Say("%s continues", p)
		p.Hangs = time.Time{}
		s.Wake(p)
		for _, do := range s.asleep[p] {
			s.awake(p, do)
		}
		delete(s.asleep, p)
	case "wait":
		d, err := time.ParseDuration(c.word())
		if err != nil {
			panic(mistake(err.Error()))
		}
		s.pass(d)
	case "log":
		s.showLog()
	case "end":
		s.end()
	default:
		s.doWay(c)
	}
}

// doWay carries out a command about what is under way.
func (s *Script) doWay(c *Command) {
	f := filter{c.word(), c.Options["from"], c.Options["to"]}
	switch c.Name {
	case "hold":
		s.way.holds = append(s.way.holds, f)
		s.Say("held from now on: %s", f)
	case "deliver", "lose", "pass":
		held := s.way.take(f)
		if len(held) == 0 && c.Name != "pass" {
			panic(mistake(fmt.Sprintf("no %s is held", f)))
		}
		if c.Name != "deliver" {
			s.way.holds = slices.DeleteFunc(s.way.holds, func(h filter) bool { return h == f })
		}
		if n := len(held) - 1; n > 0 && slices.Contains(c.Words, "newest") {
			s.way.items = append(s.way.items, held[:n]...)
			held = held[n:]
		}
		for _, i := range held {
			if c.Name == "lose" {
				s.Say("  lost: %s", i)
			} else {
				i.arrives()
			}
		}
	default:
		panic(mistake(fmt.Sprintf("there is no command %q", c.Name)))
	}
}

func (s *Script) startRole(name string) {
	if name == "brief" {
		return
	}
	for _, r := range append(world.Roles, world.Archiver) {
		if r.String() == name {
			p := s.Start(r, 0)
			s.Tick(p)
			s.run()
			return
		}
	}
	panic(mistake(fmt.Sprintf("there is no role %q", name)))
}

// showLog writes the records in the log.
func (s *Script) showLog() {
	for _, n := range s.Partitions[0].Log.Committed {
		e := &n.Entry.Entry
		offset := e.BaseOffset
		for i := range e.Batches {
			b := &e.Batches[i]
			s.Say("offset %d: %s", offset, s.stored[b.Extent])
			offset += int64(b.Records)
		}
	}
	if len(s.lines) == 0 {
		s.Say("the log has no records")
	}
}

// end lets everything arrive, and time pass until nothing is left to be done.
func (s *Script) end() {
	const enough = 30 * time.Second
	s.way.holds = nil
	for _, i := range s.way.items {
		i.held = false
	}
	s.World.See(check.All, check.Calm{})
	began := s.Now
	for s.run(); s.Violation == nil && !s.resolved() && s.Now.Sub(began) < enough; {
		s.pass(heartbeat)
	}
	for _, c := range s.Clients {
		c.Records = s.Current(c).Next
	}
	s.Finished(func(c *world.Client) bool { return !s.done(c) })
	s.Left(false)
	for _, c := range s.consumers {
		s.FinishedConsumer(c.Consumer)
	}
	s.Say("everything is resolved %s later", s.Now.Sub(began))
}

// resolved reports whether nothing is left to be done.
func (s *Script) resolved() bool {
	return !slices.ContainsFunc(s.Clients, func(c *world.Client) bool { return !s.done(c) }) &&
		!slices.ContainsFunc(s.consumers, func(c *consumer) bool { return !s.Satisfied(c.Consumer) }) &&
		!slices.ContainsFunc(s.Processes, func(p *world.Process) bool { return p.Role != world.Replicator && p.Stats.Open > 0 })
}

// done reports whether a client has nothing left to do. A plain client always counts as done,
// because its answer never arrives if its frontend has ended.
func (s *Script) done(c *world.Client) bool {
	i := s.Current(c)
	return c.Plain || i.Acked == i.Next
}

func (s *Script) process(name string) *world.Process {
	for _, p := range s.Processes {
		if p.Name == name && !p.Dead {
			return p
		}
	}
	panic(mistake(fmt.Sprintf("no process %q runs", name)))
}

func (s *Script) instance(name string) *world.Instance {
	for _, c := range s.Clients {
		if i := s.Current(c); i.String() == name {
			return i
		}
	}
	panic(mistake(fmt.Sprintf("there is no client %q", name)))
}

// word returns the first argument.
func (c *Command) word() string {
	if len(c.Words) == 0 {
		panic(mistake(c.Name + " needs an argument"))
	}
	return c.Words[0]
}

// number returns the value of an option.
func (c *Command) number(name string, otherwise int) int {
	text, given := c.Options[name]
	if !given {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(mistake(err.Error()))
	}
	return n
}
