package produce

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func readLines(t *testing.T, in io.Reader, limit int) ([]string, error) {
	t.Helper()
	lines := NewLineReader(in, limit)
	var all []string
	for {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, string(line))
	}
}

func TestSplitsAtLineFeedsOnly(t *testing.T) {
	long := strings.Repeat("x", 3*lineBuffer+1)
	exact := strings.Repeat("y", lineBuffer)
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"nothing":                        {"", nil},
		"one line":                       {"a\n", []string{"a"}},
		"last line without line feed":    {"a\nb", []string{"a", "b"}},
		"empty lines":                    {"\n\na\n\n", []string{"", "", "a", ""}},
		"carriage returns stay":          {"a\r\nb\rc\n\r\n", []string{"a\r", "b\rc", "\r"}},
		"other separators stay":          {"a\u2028b\x00\v\f\n", []string{"a\u2028b\x00\v\f"}},
		"not UTF-8":                      {"\xff\xfe\n", []string{"\xff\xfe"}},
		"longer than the buffer":         {long + "\n" + long, []string{long, long}},
		"exactly the buffer":             {exact + "\n" + exact, []string{exact, exact}},
		"one less than the buffer":       {exact[1:] + "\n" + exact[1:], []string{exact[1:], exact[1:]}},
		"long, then short, then nothing": {long + "\n\n", []string{long, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			for reader, in := range map[string]io.Reader{
				"whole": strings.NewReader(c.in), "halves": iotest.HalfReader(strings.NewReader(c.in)),
				"data with EOF": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				got, err := readLines(t, in, 1<<20)
				if err != nil {
					t.Fatalf("%s: %v", reader, err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("%s: (-want +got)\n%.500s", reader, diff)
				}
			}
		})
	}
}

func TestLimitOfLineLength(t *testing.T) {
	for _, limit := range []int{1, 10, lineBuffer - 1, lineBuffer, lineBuffer + 1, 2*lineBuffer + 7} {
		for _, end := range []string{"", "\n", "\nmore\n"} {
			fits := strings.Repeat("x", limit)
			got, err := readLines(t, strings.NewReader("\n"+fits+strings.TrimSuffix(end, "more\n")), limit)
			if err != nil || len(got) != 2 || got[1] != fits {
				t.Errorf("limit %d, end %q: %d lines, error %v", limit, end, len(got), err)
			}
			got, err = readLines(t, strings.NewReader("\n"+fits+"x"+end), limit)
			var tooLong *lineTooLongError
			if !errors.As(err, &tooLong) || tooLong.number != 2 || tooLong.limit != limit || len(got) != 1 {
				t.Errorf("limit %d, end %q: one byte too long: %d lines, error %v", limit, end, len(got), err)
			}
		}
	}
}

func TestEndlessLine(t *testing.T) {
	endless := io.LimitReader(zeros{}, 1<<40)
	_, err := readLines(t, endless, 1<<20)
	var tooLong *lineTooLongError
	if !errors.As(err, &tooLong) {
		t.Fatalf("error %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestReadErrorIsNotEOF(t *testing.T) {
	broken := errors.New("the disk is gone")
	got, err := readLines(t, io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), 100)
	if !errors.Is(err, broken) || len(got) != 1 {
		t.Errorf("lines %q, error %v", got, err)
	}
}

func BenchmarkLines(b *testing.B) {
	text := strings.Repeat("\tfor i := range lines { // a line of usual length\n\n", 20_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		lines := NewLineReader(strings.NewReader(text), 1<<20)
		for {
			if _, err := lines.Next(); err != nil {
				break
			}
		}
	}
}

func TestInterruptibleReadsEverything(t *testing.T) {
	want := make([]byte, 5*lineBuffer+17)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(want)
	for name, in := range map[string]io.Reader{
		"whole": bytes.NewReader(want), "data with EOF": iotest.DataErrReader(bytes.NewReader(want)),
		"halves": iotest.HalfReader(bytes.NewReader(want)),
	} {
		got, err := io.ReadAll(newInterruptible(t.Context(), in))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes of %d, error %v", name, len(got), len(want), err)
		}
	}
}

func TestInterruptibleReturnsErrorLast(t *testing.T) {
	broken := errors.New("broken")
	in := io.MultiReader(bytes.NewReader([]byte("abc")), iotest.ErrReader(broken))
	got, err := io.ReadAll(newInterruptible(t.Context(), in))
	if string(got) != "abc" || !errors.Is(err, broken) {
		t.Errorf("%q, error %v", got, err)
	}
}

func TestInterruptibleEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	blocked, unblock := io.Pipe()
	defer unblock.Close()
	in := newInterruptible(ctx, blocked)
	cancel()
	if _, err := in.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
