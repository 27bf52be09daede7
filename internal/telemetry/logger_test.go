package telemetry

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/zap/zapcore"
)

func logLine(t *testing.T, format string, terminal bool) string {
	t.Helper()
	var out bytes.Buffer
	log, err := newLogger("info", format, zapcore.AddSync(&out), terminal)
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("below the level")
	log.Info("hello")
	return out.String()
}

func TestLogIsReadableOnATerminalAndJSONElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		format   string
		terminal bool
		json     bool
	}{
		"auto, terminal":    {"auto", true, false},
		"auto, no terminal": {"auto", false, true},
		"json, terminal":    {"json", true, true},
		"console, a file":   {"console", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			line := logLine(t, c.format, c.terminal)
			if json.Valid([]byte(line)) != c.json || !strings.Contains(line, "hello") {
				t.Errorf("line is %q", line)
			}
		})
	}
}

func TestUnknownLogLevelOrFormatIsRefused(t *testing.T) {
	for _, c := range [][2]string{{"loud", "json"}, {"fatal", "json"}, {"info", "xml"}, {"info", ""}} {
		if _, err := Logger(c[0], c[1]); err == nil {
			t.Errorf("Logger(%q, %q) succeeded", c[0], c[1])
		}
	}
	for _, level := range []string{"debug", "info", "warn", "error"} {
		if _, err := Logger(level, "auto"); err != nil {
			t.Errorf("Logger(%q): %v", level, err)
		}
	}
}
