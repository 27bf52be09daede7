package embedded

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestServerLogKeepsLevelAndText(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	adapter := newLogAdapter(zap.New(core))
	adapter.Noticef("  Version:  %s", "1")
	adapter.Warnf("warn %d", 2)
	adapter.Errorf("error %d", 3)
	adapter.Debugf("debug")
	adapter.Tracef("trace")

	type line struct {
		Level zapcore.Level
		Text  string
	}
	var got []line
	for _, entry := range logs.All() {
		if entry.LoggerName != "nats" {
			t.Errorf("logger is %q", entry.LoggerName)
		}
		got = append(got, line{entry.Level, entry.Message})
	}
	want := []line{
		{zap.InfoLevel, "Version:  1"},
		{zap.WarnLevel, "warn 2"},
		{zap.ErrorLevel, "error 3"},
		{zap.DebugLevel, "debug"},
		{zap.DebugLevel, "trace"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := adapter.firstFatal(); err != nil {
		t.Errorf("fatal without a fatal line: %v", err)
	}
}

func TestFatalLineIsKept(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	adapter := newLogAdapter(zap.New(core))
	adapter.Fatalf("first %s", "cause")
	adapter.Fatalf("its consequence")
	if err := adapter.firstFatal(); err == nil || err.Error() != "first cause" {
		t.Errorf("fatal error is %v", err)
	}
	if n := logs.FilterLevelExact(zapcore.ErrorLevel).FilterField(zap.Bool("fatal", true)).Len(); n != 2 {
		t.Errorf("%d fatal lines in the log", n)
	}
}
