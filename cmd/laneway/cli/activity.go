package cli

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Activity shows on a terminal how far a command is whose end is not known.
type Activity struct{ bar *progressbar.ProgressBar }

// NewActivity returns an Activity on a stream. Nothing is shown unless that is a terminal.
func NewActivity(stream io.Writer) *Activity {
	return &Activity{progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(stream), progressbar.OptionSetVisibility(IsTerminal(stream)),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetElapsedTime(false),
	)}
}

// Show replaces the text that is shown.
func (a *Activity) Show(text string) {
	a.bar.Describe(text)
	_ = a.bar.Add(1)
}

// Close removes the text.
func (a *Activity) Close() { _ = a.bar.Clear() }
