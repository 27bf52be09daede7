package cli

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// foreignVariables matches variables that have the prefix but are not for this
// program: those of tests, and those that Kubernetes sets for a service whose name
// begins with "laneway", such as LANEWAY_SERVICE_HOST and
// LANEWAY_NATS_PORT_4222_TCP_ADDR. The ports of the compose file match as well.
var foreignVariables = regexp.MustCompile(
	`^LANEWAY_(TEST_.*|([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?))$`)

// checkVariables rejects environment variables with the prefix that set no flag of
// any command. Without this check, a flag would silently keep its default after a
// typo in its variable.
func checkVariables(application *kong.Application, environment []string) error {
	known := make(map[string]bool)
	err := kong.Visit(application, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			for _, name := range flag.Envs {
				known[name] = true
			}
		}
		return next(nil)
	})
	if err != nil {
		return err
	}
	for _, variable := range environment {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, envPrefix+"_") && !known[name] && !foreignVariables.MatchString(name) {
			return Misuse("the variable %s sets no flag of any command; the most similar one is %s", name,
				nearest(name, slices.Sorted(maps.Keys(known))))
		}
	}
	return nil
}

// nearest returns the name with the smallest edit distance to what was typed.
func nearest(typed string, names []string) string {
	return slices.MinFunc(names, func(a, b string) int { return edits(typed, a) - edits(typed, b) })
}

// edits returns the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// blameVariables adds to an error which variables set the flags that it mentions,
// by name or by value. The user typed none of these values, and may not know that
// the environment has them.
func blameVariables(command *kong.Context, err error) error {
	if command == nil || err == nil {
		return err
	}
	typed := make(map[string]bool) // flags of the command line, which has precedence
	for _, p := range command.Path {
		if p.Flag != nil && !p.Resolved {
			typed[p.Flag.Name] = true
		}
	}
	text := err.Error()
	var notes []string
	for _, flag := range command.Flags() {
		variable, value := setBy(flag)
		if variable != "" && !typed[flag.Name] && !strings.Contains(text, variable) && concerns(text, flag.Name, value) {
			notes = append(notes, fmt.Sprintf("%s sets --%s", variable, flag.Name))
		}
	}
	if len(notes) == 0 {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.Join(notes, ", "))
}

// setBy returns the variable that sets a flag, and its value. Both are empty if
// none does.
func setBy(flag *kong.Flag) (variable, value string) {
	for _, name := range flag.Envs {
		if value, set := os.LookupEnv(name); set {
			return name, value
		}
	}
	return "", ""
}

// concerns reports whether an error mentions a flag or its value. Short values
// are not searched, because they occur in any text. Errors show URLs without user
// and password, so only what follows those is searched.
func concerns(text, flag, value string) bool {
	const shortest = 5
	if regexp.MustCompile(`--` + regexp.QuoteMeta(flag) + `([^a-z-]|$)`).MatchString(text) {
		return true
	}
	value = value[strings.LastIndexByte(value, '@')+1:]
	return len(value) >= shortest && strings.Contains(text, value)
}
