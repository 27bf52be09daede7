package damage

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"laneway.dev/test/deployment"
	"laneway.dev/test/machine"
)

var (
	draws = flag.Int("draws", 18, "how many damages a campaign draws")
	seed  = flag.Uint64("seed", 1, "the seed of the draws")
	from  = flag.Int("from", 0, "the first draw")
	twice = flag.Bool("twice", false, "start on each folder a second time")
	only  = flag.String("case", "", "the only damage, as a failure prints it")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := deployment.Build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestDamageIsReportedAndNothingWrongIsRead(t *testing.T) {
	all, known := makeBases(t)
	var cases []Draw
	if *only != "" {
		d, err := Parse(*only)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, d)
	} else {
		for n := *from; n < *from+*draws; n++ {
			d, err := all.draw(*seed, n)
			if err != nil {
				t.Fatal(err)
			}
			cases = append(cases, d)
		}
	}
	var found results
	t.Run("draws", func(t *testing.T) {
		for n, d := range cases {
			t.Run(fmt.Sprintf("%d %s", *from+n, d), func(t *testing.T) {
				t.Parallel()
				found.add(runCase(t, all[d.Base], known[d.Base], d))
			})
		}
	})
	t.Log("\n" + found.table())
}

// runCase runs one case, and keeps its folder if it fails.
func runCase(t *testing.T, base string, known *facts, d Draw) *trial {
	folder := filepath.Join(t.TempDir(), "data")
	if err := copyOf(base, d, folder); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*patience, errors.New("a check hangs"))
	defer cancel()
	c := &trial{t: t, ctx: ctx, draw: d, known: known, value: "after the damage", added: make(map[string]int64)}
	c.run(folder)
	if *twice && len(c.faults) == 0 && !c.server.ended {
		c.again(folder)
	}
	if len(c.faults) > 0 {
		kept := keep(t, base, d)
		t.Errorf("seed %d: %s of %s at %d:\n  %s\nrepeat with: make damage CASE='%s'\nthe damaged folder is kept in %s\nlog:\n%s",
			*seed, d.Kind, d.File, d.Position, strings.Join(c.faults, "\n  "), d, kept, lastLines(c.wrong))
	}
	return c
}

// keep makes the damaged folder once more where it stays.
func keep(t *testing.T, base string, d Draw) string {
	root, err := machine.Root()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(root, "bin", "damage", strings.NewReplacer("/", "_", ":", "_", "$", "").Replace(d.String()))
	if err := errors.Join(os.RemoveAll(folder), os.MkdirAll(filepath.Dir(folder), 0o750), copyOf(base, d, folder)); err != nil {
		t.Error(err)
	}
	return folder
}

func lastLines(lines []line) string {
	const most = 30
	var text strings.Builder
	for _, l := range lines[max(0, len(lines)-most):] {
		text.WriteString("  " + l.text)
	}
	return text.String()
}

// results gathers what cases have found.
type results struct {
	mu      sync.Mutex
	counts  map[string]map[Kind]map[outcome]int
	slowest time.Duration
	cases   int
}

func (r *results) add(c *trial) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = make(map[string]map[Kind]map[outcome]int)
	}
	if r.counts[c.draw.Category] == nil {
		r.counts[c.draw.Category] = make(map[Kind]map[outcome]int)
	}
	if r.counts[c.draw.Category][c.draw.Kind] == nil {
		r.counts[c.draw.Category][c.draw.Kind] = make(map[outcome]int)
	}
	r.counts[c.draw.Category][c.draw.Kind][c.outcome]++
	r.slowest = max(r.slowest, c.took)
	r.cases++
}

// table returns the outcomes as docs/correctness.md shows them.
func (r *results) table() string {
	var text strings.Builder
	text.WriteString("| file |")
	for _, kind := range Kinds() {
		fmt.Fprintf(&text, " %s |", kind)
	}
	text.WriteString("\n|---|" + strings.Repeat("---|", len(Kinds())) + "\n")
	for _, category := range slices.Sorted(maps.Keys(r.counts)) {
		fmt.Fprintf(&text, "| %s |", category)
		for _, kind := range Kinds() {
			var cell []string
			for _, o := range slices.Sorted(maps.Keys(r.counts[category][kind])) {
				cell = append(cell, fmt.Sprintf("%s %d", o, r.counts[category][kind][o]))
			}
			fmt.Fprintf(&text, " %s |", strings.Join(cell, ", "))
		}
		text.WriteString("\n")
	}
	fmt.Fprintf(&text, "\n%d cases; the slowest start took %s\n", r.cases, r.slowest.Round(time.Millisecond))
	return text.String()
}
