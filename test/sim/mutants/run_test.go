package mutants

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var mutant = flag.String("mutants", "", "run these mutants: all, those that the simulator notices, or some by their names, separated by commas")

// mutantSeeds is how many seeds a campaign has to notice a mutant.
const mutantSeeds = 30_000

func TestMutantsAreNoticed(t *testing.T) {
	if *mutant == "" {
		t.Skip("it takes a minute or two: make mutants")
	}
	some := wanted(t)
	campaign := campaignOfMany(t, some)
	for _, m := range some {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel() // one that has a build of its own is built while another one runs
			if m.Tests != nil {
				noticedByTests(t, m)
			} else {
				noticedByCampaign(t, m, campaign)
			}
		})
	}
}

func wanted(t *testing.T) (some []Mutant) {
	t.Helper()
	if *mutant == "all" || *mutant == "simulator" {
		all, err := All()
		if err != nil {
			t.Fatal(err)
		}
		if *mutant == "simulator" {
			all = slices.DeleteFunc(all, func(m Mutant) bool { return m.Tests != nil })
		}
		return all
	}
	for name := range strings.SplitSeq(*mutant, ",") {
		m, err := Named(name)
		if err != nil {
			t.Fatal(err)
		}
		some = append(some, m)
	}
	return some
}

// simulator is the package of campaigns.
const simulator = "test/sim/random"

// many is the test binary of the simulator with many mutants.
type many struct {
	binary string
	alone  []string // the names of the mutants that it does not have
}

// campaignOfMany builds the simulator with the mutants that it must notice.
func campaignOfMany(t *testing.T, some []Mutant) (c many) {
	t.Helper()
	folder := t.TempDir()
	some = slices.DeleteFunc(slices.Clone(some), func(m Mutant) bool { return m.Tests != nil })
	if len(some) == 0 {
		return c
	}
	overlay, alone, err := Together(some, root, folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range alone {
		c.alone = append(c.alone, m.Name)
	}
	c.binary = buildMutant(t, overlay, simulator, folder)
	return c
}

func noticedByCampaign(t *testing.T, m Mutant, c many) {
	args := []string{"-test.run", "^TestCampaign$", "-seeds", strconv.Itoa(mutantSeeds)}
	var output []byte
	var took time.Duration
	var err error
	if slices.Contains(c.alone, m.Name) {
		output, took, err = runMutant(t, m, simulator, args...)
	} else {
		output, took, err = runBinary(t, m, c.binary, simulator, args...)
	}
	found := violation.FindSubmatch(output)
	if err == nil || found == nil {
		t.Fatalf("no seed of %d notices it:\n%s", mutantSeeds, output)
	}
	fmt.Printf("%-30s after %s seeds, %5.1fs: %s\n", m.Name, found[1], took.Seconds(), found[2])
}

func noticedByTests(t *testing.T, m Mutant) {
	output, took, err := runMutant(t, m, m.Package, "-test.run", m.Tests.String(), "-test.timeout", TestTime.String())
	found := failure.FindSubmatch(output)
	if err == nil || found == nil {
		t.Fatalf("no test of %s that matches %q fails:\n%s", m.Package, m.Tests, output)
	}
	fmt.Printf("%-30s %5.1fs: %s %s\n", m.Name, took.Seconds(), m.Package, found[1])
}

var (
	violation = regexp.MustCompile(`after (\d+) seeds: (.*)`)
	failure   = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)
)

// root is the root of the repository, seen from the folder of this package.
const root = "../../.."

// runMutant runs the tests of a package with a mutant in the place of a file, without the
// assertions of the cores: the test or the simulator has to notice it.
func runMutant(t *testing.T, m Mutant, in string, args ...string) (output []byte, took time.Duration, err error) {
	t.Helper()
	folder := t.TempDir()
	overlay, err := m.Overlay(root, folder)
	if err != nil {
		t.Fatal(err)
	}
	return runBinary(t, m, buildMutant(t, overlay, in, folder), in, args...)
}

// buildMutant builds the tests of a package with an overlay, and returns the path of the binary.
func buildMutant(t *testing.T, overlay, in, folder string) string {
	t.Helper()
	binary := filepath.Join(folder, "mutant.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay, "-o", binary, ".")
	build.Dir = filepath.Join(root, filepath.FromSlash(in))
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the mutant does not compile: %v\n%s", err, output)
	}
	return binary
}

// runBinary runs the tests of a package with a mutant.
func runBinary(t *testing.T, m Mutant, binary, in string, args ...string) (output []byte, took time.Duration, err error) {
	t.Helper()
	run := exec.CommandContext(t.Context(), binary, args...)
	run.Dir = filepath.Join(root, filepath.FromSlash(in))
	run.Env = append(os.Environ(), Variable+"="+m.Name)
	begun := time.Now()
	output, err = run.CombinedOutput()
	return output, time.Since(begun), err
}
