package telemetry

import (
	"fmt"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

// Logger writes to standard error. Level is debug, info, warn or error; format is console, json,
// or auto: console on a terminal, JSON otherwise. The caller calls Sync before the process ends.
func Logger(level, format string) (*zap.Logger, error) {
	return newLogger(level, format, zapcore.Lock(os.Stderr), term.IsTerminal(int(os.Stderr.Fd())))
}

func newLogger(level, format string, out zapcore.WriteSyncer, terminal bool) (*zap.Logger, error) {
	minimum, err := zapcore.ParseLevel(level)
	if err != nil || minimum > zapcore.ErrorLevel {
		return nil, fmt.Errorf("log level %q is none of debug, info, warn, error", level)
	}
	encoder, err := newEncoder(format, terminal)
	if err != nil {
		return nil, err
	}
	// No sampling: a line that is missing from a log is worse than one too many.
	return zap.New(zapcore.NewCore(encoder, out, minimum), zap.ErrorOutput(out)), nil
}

func newEncoder(format string, terminal bool) (zapcore.Encoder, error) {
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	config.EncodeDuration = zapcore.StringDurationEncoder
	if format == "auto" {
		format = "json"
		if terminal {
			format = "console"
		}
	}
	switch format {
	case "json":
		return zapcore.NewJSONEncoder(config), nil
	case "console":
		config.EncodeLevel = zapcore.CapitalLevelEncoder
		config.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		return zapcore.NewConsoleEncoder(config), nil
	default:
		return nil, fmt.Errorf("log format %q is none of auto, console, json", format)
	}
}
