package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func logLine(t *testing.T, format string, terminal bool, field zap.Field) string {
	t.Helper()
	var out bytes.Buffer
	log, err := newLogger("info", format, zapcore.AddSync(&out), terminal)
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("below the level")
	log.Info("hello", field)
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
			line := logLine(t, c.format, c.terminal, zap.Skip())
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

func TestLogLineCarriesTheSpan(t *testing.T) {
	var line struct {
		TraceID string `json:"trace_id"`
		SpanID  string `json:"span_id"`
	}
	ctx := Extract(context.Background(), exampleTraceparent, "")
	if err := json.Unmarshal([]byte(logLine(t, "json", false, TraceField(ctx))), &line); err != nil {
		t.Fatal(err)
	}
	if line.TraceID != exampleTraceID || line.SpanID != exampleSpanID {
		t.Errorf("line has %+v", line)
	}
	if bare := logLine(t, "json", false, TraceField(context.Background())); strings.Contains(bare, "trace_id") {
		t.Errorf("line without a span: %s", bare)
	}
}
