package scripted_test

import (
	"testing"

	"github.com/cockroachdb/datadriven"

	"laneway.dev/test/sim/scripted"
)

// TestScenarios runs the scripts. With -args -rewrite it writes what happens into them.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := scripted.New()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			c := scripted.Command{Name: d.Cmd, Options: map[string]string{}}
			for _, a := range d.CmdArgs {
				if len(a.Vals) == 0 {
					c.Words = append(c.Words, a.Key)
				} else {
					c.Options[a.Key] = a.Vals[0]
				}
			}
			text, err := s.Do(c)
			if err != nil {
				t.Errorf("%s: %v", d.Pos, err)
			}
			return text + "\n"
		})
	})
}

func TestReportsMistakesOfScripts(t *testing.T) {
	for _, c := range []scripted.Command{
		{Name: "begin"},
		{Name: "start", Words: []string{"server"}},
		{Name: "kill", Words: []string{"frontend-1"}},
		{Name: "lose", Words: []string{"Stage"}},
		{Name: "wait", Words: []string{"long"}},
		{Name: "wait"},
	} {
		if text, err := scripted.New().Do(c); err == nil {
			t.Errorf("%s %q returns %q, want an error", c.Name, c.Words, text)
		}
	}
}
