package random

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var (
	seeds    = flag.Int("seeds", 0, "how many seeds a campaign runs; without, as many as there is -time for")
	seed     = flag.Int64("seed", -1, "the only seed to run")
	from     = flag.Uint64("from", 0, "the first seed of a campaign")
	duration = flag.Duration("time", 0, "how long a campaign runs; without, as long as -seeds take")
	config   = flag.String("config", "", "the only run, as a failure prints it")
	trace    = flag.Bool("trace", false, "print what happens in the only run")
	shrinkIt = flag.Bool("shrink", false, "shrink a run that fails")
)

// ordinarySeeds is how many seeds a campaign without flags runs. They are enough to come
// across everything.
const ordinarySeeds = 1800

func TestCampaign(t *testing.T) {
	if c, is := only(t); is {
		one(t, c)
		return
	}
	c := Campaign{From: *from, Seeds: *seeds, Time: *duration, Progress: func(r Report) {
		perSecond, _ := r.Rates()
		fmt.Printf("%d seeds, %.0f seeds/s\n", r.Seeds, perSecond)
	}}
	if c.Seeds == 0 && c.Time == 0 {
		c.Seeds = ordinarySeeds
	}
	r := c.Run()
	perSecond, events := r.Rates()
	fmt.Printf("%d seeds in %s: %.0f seeds/s, %.0f events/s\n%s", r.Seeds, r.Took.Round(time.Millisecond), perSecond, events, r.Counts)
	if r.Violation != nil {
		violated(t, Seeded(r.Seed), fmt.Sprintf("after %d seeds: %v", r.Seeds, r.Violation))
	}
	if r.Seeds < ordinarySeeds { // so few in a time may only show that the machine is busy
		fmt.Printf("less than %d seeds: whether they came across everything is not checked\n", ordinarySeeds)
		return
	}
	for _, what := range r.Missed() {
		t.Errorf("the campaign proves nothing: less than %d of %s", often, what)
	}
}

// only returns the only run, if that is what flags want. They may want one thing.
func only(t *testing.T) (c Config, is bool) {
	t.Helper()
	said := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { said[f.Name] = true })
	var err error
	switch {
	case said["seeds"] && (said["seed"] || said["config"]) || said["seed"] && said["config"]:
		t.Fatal("-seeds are many runs, -seed and -config are one: say one of them")
	case said["seeds"] && *seeds < 1:
		t.Fatal("-seeds is at least 1")
	case said["seed"] && *seed < 0:
		t.Fatal("-seed is at least 0")
	case said["config"]:
		if c, err = ParseConfig(*config); err != nil {
			t.Fatal(err)
		}
	case said["seed"]:
		c = Seeded(uint64(*seed))
	case *trace:
		t.Fatal("-trace shows one run: say which, by -seed or -config")
	default:
		return c, false
	}
	return c, true
}

// one runs one run, and shows it if that is wanted.
func one(t *testing.T, c Config) {
	tr := &Trace{}
	violation := Check(c, tr)
	if *trace {
		fmt.Print(tr)
	}
	fmt.Println(c.title())
	keep(t, tr)
	if violation != nil {
		violated(t, c, violation.Error())
	}
}

// violated ends a test with what was wrong, and the commands that show it.
func violated(t *testing.T, c Config, what string) {
	t.Helper()
	text := fmt.Sprintf("violated by %s, %s\n\n", c.title(), what)
	if *shrinkIt {
		text += Shrink(c).String() + "\n"
	}
	t.Fatalf("%sto see it as it was: %s", text, c.Command())
}

// kept are seeds that showed that something was wrong, in the cores or in what the
// simulator makes of them.
var kept = map[uint64]string{
	23:   "epochs start again, and a frontend does not learn that its own is too low",
	51:   "a lane is forgotten while its replicator hangs, and a late release of it is rejected",
	81:   "a request to stage came twice: one attempt failed, the other one did not",
	929:  "a refusal is not known to the next owner, which takes the ticket",
	974:  "a forgotten lane refuses a number and takes the next one",
	1634: "a forgotten lane is heard of again, with an old floor",
	3503: "a frontend is fenced and continues, and does not answer what came before and after",
	9383: "an owner claims the log back, and appends what it had reserved before another one wrote the mark",

	1009523:  "an epoch that is too low is noticed long after faults have ended",
	1037400:  "what was asked for twice is refused once, and in the log",
	1084674:  "a frontend stood still until its lane was forgotten, and accepts a refusal",
	20009897: "a consumer of a time to come waits for its first record",
	2389086:  "an owner knows of the newest sequencer by a barrier only",
	5950255:  "an owner whose mark was moved starts over, and forgets its floors",
	2919317:  "a lane is forgotten, and continues while its floor is still below what was forgotten",
}

// Which mix a seed has changes with the list of mixes: each is run with all of them.
func TestKeptSeeds(t *testing.T) {
	for seed, what := range kept {
		for _, mix := range Mixes {
			c := Seeded(seed)
			c.Mix, c.Partitions, c.Logs, c.Late, c.Busy, c.Parcels = mix, 1, 1, false, false, false // as when they went wrong
			if r := Run(c, nil); r.Violation != nil {
				t.Errorf("seed %d of %q (%s): %v\nto see it: %s", seed, mix.Name, what, r.Violation, c.Command())
			}
		}
	}
}

func TestSameSeedSameTrace(t *testing.T) {
	for seed := range uint64(2 * len(Mixes)) {
		var first, second Trace
		Run(Seeded(seed), &first)
		Run(Seeded(seed), &second)
		if first.String() != second.String() {
			t.Errorf("seed %d has two traces", seed)
		}
	}
}
