package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"
)

// IsTerminal reports whether a stream is a terminal, on which progress is worth
// showing.
func IsTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Say prints text formatted as by fmt.Printf. The caller checks the error of
// standard output, because a full disk or a closed pipe loses the result of the
// command.
func Say(w io.Writer, format string, arguments ...any) error {
	_, err := fmt.Fprintf(w, format, arguments...)
	return err
}

// WriteJSON prints a value as an indented JSON object or array.
func WriteJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// Count returns a number with its noun: "1 record", "1,500 records", "2 entries" or
// "2 batches".
func Count[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	plural := noun + "s"
	if stem, is := strings.CutSuffix(noun, "y"); is {
		plural = stem + "ies"
	} else if strings.HasSuffix(noun, "ch") {
		plural = noun + "es"
	}
	return humanize.Comma(int64(n)) + " " + plural
}

// Printable returns the name of a producer or lane as it can be printed in a
// table. It quotes a name with control or invisible characters, which could
// change the terminal, and one that the reader could take for something else:
// one with a space, or the "-" of an empty cell.
func Printable(name string) string {
	if quoted := strconv.Quote(name); name == "-" || strings.Contains(name, " ") || quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
