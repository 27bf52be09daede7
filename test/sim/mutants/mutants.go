// Package mutants has deliberate defects, each as a patch of one file. A check that does
// not fail with a defect that it is meant to notice checks nothing.
//
// A patch begins with a paragraph, then an empty line, then a unified diff without line
// numbers:
//
//	Mutant: a sequencer that was fenced ignores it.
//	Noticed by: services/sequencer TestFencedSequencer
//
//	--- a/services/sequencer/service.go
//	+++ b/services/sequencer/service.go
//	@@
//	 …
//
// The last line of the paragraph names a package and a regular expression of its tests.
// One of them must fail with the defect, within [TestTime]. "Noticed by: simulator", which
// is the default, stands for a campaign of the simulator: for defects of the protocol that
// only some schedule of faults reveals.
//
// A patch is applied to the current file, so it follows the file for as long as the lines
// around the defect stay the same.
package mutants

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

//go:embed *.patch
var patches embed.FS

// TestTime bounds the run of the tests that notice a mutant. A mutant that makes them
// wait longer counts as not noticed: the longest wait of a test is a minute, for busy machines.
const TestTime = 2 * time.Minute

// Mutant is one defect.
type Mutant struct {
	Name string
	File string // that it changes, from the root of the repository, with slashes

	// What notices it: tests of a package, named from the root of the repository. If both
	// are empty, it is a campaign of the simulator.
	Package string
	Tests   *regexp.Regexp

	hunks []hunk
}

// hunk replaces some lines by others.
type hunk struct{ old, new string }

// All returns all mutants, by their names.
func All() ([]Mutant, error) {
	names, err := fs.Glob(patches, "*.patch")
	if err != nil {
		return nil, err
	}
	all := make([]Mutant, 0, len(names))
	for _, name := range names {
		m, err := Named(strings.TrimSuffix(name, ".patch"))
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// Named returns the mutant of a name.
func Named(name string) (Mutant, error) {
	content, err := patches.ReadFile(name + ".patch")
	if err != nil {
		return Mutant{}, fmt.Errorf("mutant %q does not exist in test/sim/mutants", name)
	}
	m, err := parse(string(content))
	if err != nil {
		return Mutant{}, fmt.Errorf("mutant %s: %w", name, err)
	}
	m.Name = name
	return m, nil
}

func parse(content string) (Mutant, error) {
	says, diff, found := strings.Cut(content, "\n\n--- a/")
	if !found || !strings.HasPrefix(says, "Mutant: ") {
		return Mutant{}, fmt.Errorf("a patch has a paragraph that begins with %q and then a diff", "Mutant: ")
	}
	var m Mutant
	if _, by, named := strings.Cut(says, "\nNoticed by: "); named && by != "simulator" {
		if err := m.parseTests(by); err != nil {
			return Mutant{}, err
		}
	}
	head, body, found := strings.Cut(diff, "\n@@\n")
	_, file, named := strings.Cut(head, "\n+++ b/")
	if !found || !named {
		return Mutant{}, fmt.Errorf("the diff does not name its file")
	}
	m.File = path.Clean(file)
	for part := range strings.SplitSeq(strings.TrimSuffix(body, "\n"), "\n@@\n") {
		h, err := parseHunk(part)
		if err != nil {
			return Mutant{}, err
		}
		m.hunks = append(m.hunks, h)
	}
	return m, nil
}

// parseTests reads what stands behind "Noticed by: ".
func (m *Mutant) parseTests(by string) (err error) {
	name, tests, found := strings.Cut(by, " ")
	if !found || strings.ContainsAny(tests, " \n") {
		return fmt.Errorf("the paragraph ends with %q, want a package and a regular expression of its tests", by)
	}
	m.Package = path.Clean(name)
	m.Tests, err = regexp.Compile(tests)
	return err
}

func parseHunk(part string) (hunk, error) {
	var before, after strings.Builder
	for line := range strings.SplitSeq(part, "\n") {
		if line == "" {
			line = " " // an editor has removed the blank
		}
		switch text := line[1:] + "\n"; line[0] {
		case ' ':
			before.WriteString(text)
			after.WriteString(text)
		case '-':
			before.WriteString(text)
		case '+':
			after.WriteString(text)
		default:
			return hunk{}, fmt.Errorf("the line %q is not a line of a diff", line)
		}
	}
	return hunk{before.String(), after.String()}, nil
}

// Apply returns the file with the defect. The lines that the patch replaces must occur in
// it exactly once.
func (m Mutant) Apply(file string) (string, error) {
	for _, h := range m.hunks {
		if n := strings.Count(file, h.old); n != 1 {
			return "", fmt.Errorf("mutant %s: %s has these lines %d times, and must have them once:\n%s", m.Name, m.File, n, h.old)
		}
		file = strings.Replace(file, h.old, h.new, 1)
	}
	return file, nil
}

// Overlay writes the mutant of the repository at root into a folder, and returns the
// path of the file for go's flag -overlay that puts it in the place of the current file.
func (m Mutant) Overlay(root, folder string) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	current := filepath.Join(root, filepath.FromSlash(m.File))
	content, err := os.ReadFile(current)
	if err != nil {
		return "", err
	}
	defect, err := m.Apply(string(content))
	if err != nil {
		return "", err
	}
	replacement := filepath.Join(folder, "mutant.go.overlay")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {current: replacement}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(replacement, []byte(defect), 0o600); err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, list, 0o600)
}
