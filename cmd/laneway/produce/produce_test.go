package produce

import (
	"errors"
	"strings"
	"testing"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/cli/clitest"
	"laneway.dev/pkg/protocol"
)

// grammar is the command line of the tests.
type grammar struct {
	Produce Command `cmd:""`
}

// logged answers init as if so many lines of a named producer were in the log.
func logged(s *clitest.Laneway, lines int32) {
	position := protocol.ProducerPosition{Topic: "orders"}
	if lines > 0 {
		position.LastSequence = new(lines - 1)
	}
	s.Answer(protocol.ProducerAPI+"init", protocol.ProducerInitResponse{ProducerID: 5, Positions: []protocol.ProducerPosition{position}})
}

func TestNamedProduceSendsTheRest(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	logged(s, 2)
	s.TakeRecords()
	code, stdout, stderr := s.Run(&grammar{}, "a\nb\nc\nd\n", "produce", "orders", "--name", "importer", "--json")
	if code != cli.ExitDone || s.Produced() != "c d" || !strings.Contains(stdout, `"skipped":2,"lines":2,"records":2`) {
		t.Errorf("exit code %d, produced %q, stdout %s, stderr %s", code, s.Produced(), stdout, stderr)
	}
}

func TestNamedProduceOmitsUnfinishedLine(t *testing.T) {
	const notice = "laneway: the last line has no line feed yet, and is not sent\n"
	s := clitest.NewLaneway(t, 1)
	logged(s, 1)
	s.TakeRecords()
	code, stdout, stderr := s.Run(&grammar{}, "a\nb\nc", "produce", "orders", "--name", "importer", "--json")
	if code != cli.ExitDone || s.Produced() != "b" || stderr != notice || !strings.Contains(stdout, `"unfinished_line":true`) {
		t.Errorf("exit code %d, produced %q, stdout %s, stderr %s", code, s.Produced(), stdout, stderr)
	}
	code, _, stderr = s.Run(&grammar{}, "a\nb", "produce", "orders", "--name", "importer")
	if code != cli.ExitDone || s.Produced() != "b" || !strings.HasPrefix(stderr, notice) || !strings.HasSuffix(stderr, "nothing more to send\n") {
		t.Errorf("exit code %d, produced %q, stderr %s", code, s.Produced(), stderr)
	}
	code, _, stderr = s.Run(&grammar{}, "c", "produce", "orders")
	if code != cli.ExitDone || s.Produced() != "b c" || strings.Contains(stderr, "line feed") {
		t.Errorf("without a name: exit code %d, produced %q, stderr %s", code, s.Produced(), stderr)
	}
}

func TestNamedProduceWithNothingToSend(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	logged(s, 2)
	code, _, stderr := s.Run(&grammar{}, "a\nb\n", "produce", "orders", "--name", "importer")
	if want := "in orders already, and not sent again: 2 lines\nthere was nothing more to send\n"; code != cli.ExitDone || stderr != want {
		t.Errorf("exit code %d, stderr:\n%s", code, stderr)
	}
}

func TestNamedProduceRejectsShorterInput(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	logged(s, 3)
	code, _, stderr := s.Run(&grammar{}, "a\n", "produce", "orders", "--name", "importer")
	if code != cli.ExitFailed || !strings.Contains(stderr, `orders has 3 lines of "importer", the input only 1 line with a line feed: it is not what was sent before; nothing was sent`) {
		t.Errorf("exit code %d, stderr:\n%s", code, stderr)
	}
}

func TestNamedProduceNeedsOnePartition(t *testing.T) {
	s := clitest.NewLaneway(t, 2)
	code, _, stderr := s.Run(&grammar{}, "a\n", "produce", "orders", "--name", "importer")
	if code != cli.ExitUsage || !strings.Contains(stderr, "orders has 2: give --partition too") {
		t.Errorf("exit code %d, stderr:\n%s", code, stderr)
	}
	logged(s, 0)
	s.TakeRecords()
	if code, _, stderr := s.Run(&grammar{}, "a\n", "produce", "orders", "--name", "importer", "--partition", "0"); code != cli.ExitDone || s.Produced() != "a" {
		t.Errorf("exit code %d, produced %q, stderr:\n%s", code, s.Produced(), stderr)
	}
}

func TestExpiredPosition(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	s.Answer(protocol.ProducerAPI+"init", protocol.ProducerInitResponse{
		ProducerID: 5, Positions: []protocol.ProducerPosition{{Topic: "orders", Expired: true}},
	})
	code, _, stderr := s.Run(&grammar{}, "a\n", "produce", "orders", "--name", "importer")
	if code != cli.ExitFailed || !strings.Contains(stderr, "POSITION_EXPIRED") || !strings.Contains(stderr, "orders/0") ||
		!strings.Contains(stderr, "what to do: find out what is in the log, then continue under another name") {
		t.Errorf("exit code %d, stderr:\n%s", code, stderr)
	}
}

func TestReplacedProduce(t *testing.T) {
	s := clitest.NewLaneway(t, 1)
	logged(s, 2)
	s.Answer(protocol.Partition{Topic: "orders"}.ProduceSubject(), protocol.ErrorResponse{Error: protocol.NewError(protocol.CodeInvalidEpoch, "")})
	code, _, stderr := s.Run(&grammar{}, "a\nb\nc\n", "produce", "orders", "--name", "importer", "--quiet")
	want := "laneway: " + protocol.NewError(protocol.CodeInvalidEpoch, "").Error() +
		"; of 3 lines all but the last one are in the log for sure, that may or may not be\nwhat to do: "
	if code != cli.ExitReplaced || !strings.HasPrefix(stderr, want) || strings.Count(stderr, "INVALID_PRODUCER_EPOCH") != 1 {
		t.Errorf("exit code %d, stderr:\n%s", code, stderr)
	}
}

func TestRejectsTooManyLines(t *testing.T) {
	lines := (&Command{Name: "importer"}).lines(strings.NewReader("a\nb\nc\n"), 10)
	if lines.last != maxResumable {
		t.Fatalf("%d lines are allowed", lines.last)
	}
	lines.last = 2
	var err error
	for err == nil {
		_, err = lines.Next()
	}
	if _, ok := errors.AsType[*tooManyLinesError](err); !ok || lines.number != 3 || !strings.HasPrefix(err.Error(), "the input has more than 2 lines") {
		t.Errorf("line %d: %v", lines.number, err)
	}
}

func TestCertaintyCountsSkippedLines(t *testing.T) {
	for want, s := range map[string]summary{
		"nothing was sent, what was read before, 4 lines, was in the log already":        {Skipped: 4},
		"what was read, 9 lines, is in the log for sure":                                 {Skipped: 4, Lines: 5, Records: 5},
		"of 9 lines the first 6 are in the log for sure, lines 7 to 9 may or may not be": {Skipped: 4, Lines: 5, Records: 2},
		"of 9 lines the first 4 are in the log for sure, lines 5 to 9 may or may not be": {Skipped: 4, Lines: 5},
	} {
		if got := s.certainty(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
