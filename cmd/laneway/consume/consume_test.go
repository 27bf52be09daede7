package consume

import (
	"errors"
	"strings"
	"testing"
	"time"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/pkg/protocol"
)

func TestParseStart(t *testing.T) {
	for _, word := range []string{"earliest", "latest"} {
		if s, err := parseStart(word); err != nil || s.from != word || s.offset != nil || s.time != nil {
			t.Errorf("%s: %+v, %v", word, s, err)
		}
	}
	if s, err := parseStart("42"); err != nil || s.offset == nil || *s.offset != 42 || s.from != "" || s.time != nil {
		t.Errorf("offset: %+v, %v", s, err)
	}
	want := time.Date(2026, 11, 23, 10, 0, 0, 5e8, time.UTC)
	if s, err := parseStart("2026-11-23T11:00:00.5+01:00"); err != nil || s.time == nil || !s.time.Equal(want) || s.from != "" {
		t.Errorf("time: %+v, %v", s, err)
	}
	for _, wrong := range []string{"", "-1", "first", "2026-11-23", "1e3", "99999999999999999999"} {
		if _, err := parseStart(wrong); cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%q: error %v", wrong, err)
		}
	}
}

func TestOffsetThatLooksLikeATime(t *testing.T) {
	for value, want := range map[string]string{
		"1764115742":          "2025-11-26T00:09:02Z",
		"1764115742123":       "2025-11-26T00:09:02.123Z",
		"1764115742123456":    "2025-11-26T00:09:02.123456Z",
		"1764115742123456789": "2025-11-26T00:09:02.123456789Z",
		"999999999":           "",
		"99999999999":         "",
		"42":                  "",
		"latest":              "",
	} {
		s, err := parseStart(value)
		if err != nil {
			t.Fatal(err)
		}
		cause := protocol.NewError(protocol.CodeOffsetOutOfRange, "")
		advice := cli.Advice(s.orTime(cause))
		switch {
		case !errors.Is(s.orTime(cause), cause):
			t.Errorf("%s: the error is lost", value)
		case want == "" && strings.Contains(advice, "--from"):
			t.Errorf("%s: %s", value, advice)
		case want != "" && !strings.HasSuffix(advice, "for the time write: --from "+want):
			t.Errorf("%s: %s, want %s", value, advice, want)
		}
		if usage := s.orTime(cli.Misuse("no")); cli.ExitCode(usage) != cli.ExitUsage || want != "" && !strings.Contains(cli.Advice(usage), want) {
			t.Errorf("%s: exit code %d, %s", value, cli.ExitCode(usage), cli.Advice(usage))
		}
		if s.orTime(nil) != nil {
			t.Errorf("%s: an error without a cause", value)
		}
	}
}
