package produce

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/cli/clitest"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

func TestSummaryAsTextAndJSON(t *testing.T) {
	s := summarize("orders", 1500, 2*time.Second, client.Summary{
		Records: 1500, FirstUnacked: 1500, Retries: 3, AckedBytes: 4_000_000,
		Offsets: []client.OffsetRange{{Partition: 0, First: 10, Last: 1009}, {Partition: 2, First: 0, Last: 499}},
	})
	var text, object strings.Builder
	s.print(&text)
	if err := s.printJSON(&object); err != nil {
		t.Fatal(err)
	}
	wantText := "1,500 records, 4.0 MB in 2s, 2.0 MB/s, committed to orders\n" +
		"batches were sent again: 3\n" +
		"partition 0: offsets 10 to 1009\npartition 2: offsets 0 to 499\n"
	wantObject := `{"topic":"orders","lines":1500,"records":1500,"bytes":4000000,"retries":3,"seconds":2,` +
		`"offsets":[{"partition":0,"first":10,"last":1009},{"partition":2,"first":0,"last":499}]}` + "\n"
	if text.String() != wantText {
		t.Errorf("got:\n%s\nwant:\n%s", &text, wantText)
	}
	if object.String() != wantObject {
		t.Errorf("got:\n%s\nwant:\n%s", &object, wantObject)
	}
}

func TestErrorSaysWhichLinesAreLogged(t *testing.T) {
	refused := protocol.NewError(protocol.CodeFailed, "")
	failure := &client.ProduceError{Topic: "orders", FirstFailed: 7, Records: 3, Err: refused}
	absent := func(first, records int64) error {
		return &client.ProduceError{Topic: "orders", FirstFailed: first, Records: records, Absent: true, Err: refused}
	}
	for _, c := range []struct {
		lines, acked int64
		err          error
		want         string
	}{
		{0, 0, &lineTooLongError{number: 1, limit: 5}, "line 1 is longer than 5 bytes, which is what the topic allows for a record; nothing was sent"},
		{4, 4, &lineTooLongError{number: 5, limit: 5}, "line 5 is longer than 5 bytes, which is what the topic allows for a record; what was read, 4 lines, is in the log for sure"},
		{9, 0, failure, refused.Error() + "; none of 9 lines is in the log for sure, each may or may not be"},
		{20, 7, failure, refused.Error() + "; of 20 lines the first 7 are in the log for sure, lines 8 to 20 may or may not be"},
		{9, 0, absent(0, 9), refused.Error() + "; none of 9 lines is in the log"},
		{20, 7, absent(7, 13), refused.Error() + "; of 20 lines the first 7 are in the log for sure, lines 8 to 20 are not in the log"},
		{20, 7, absent(7, 9), refused.Error() + "; of 20 lines the first 7 are in the log for sure, lines 8 to 20 may or may not be"},
		{20, 19, absent(19, 1), refused.Error() + "; of 20 lines all but the last one are in the log"},
	} {
		a, _, _ := clitest.App(t)
		command := Command{Quiet: true}
		s := summarize("orders", c.lines, time.Second, client.Summary{FirstUnacked: c.acked})
		err := command.report(a, s, c.err)
		if err == nil || err.Error() != c.want {
			t.Errorf("%d of %d lines: got\n%v, want\n%s", c.acked, c.lines, err, c.want)
		}
		if cli.ExitCode(err) != cli.ExitFailed {
			t.Errorf("exit code %d", cli.ExitCode(err))
		}
	}
}

func TestInterruptedProduce(t *testing.T) {
	a, _, _ := clitest.App(t)
	ctx, cancel := context.WithCancel(a.Ctx)
	cancel()
	a.Ctx = ctx
	command := Command{Quiet: true}
	err := command.report(a, summarize("orders", 1, time.Second, client.Summary{FirstUnacked: 1}), ctx.Err())
	if err == nil || err.Error() != "interrupted; what was read, 1 line, is in the log for sure" || errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestSummaryOfOneRecord(t *testing.T) {
	var text strings.Builder
	summarize("orders", 1, time.Second, client.Summary{FirstUnacked: 1, AckedBytes: 5}).print(&text)
	if !strings.HasPrefix(text.String(), "1 record, 5 B") {
		t.Errorf("%q", &text)
	}
}

func TestNoSummaryWithoutRecords(t *testing.T) {
	a, _, stderr := clitest.App(t)
	command := Command{}
	err := command.report(a, summarize("orders", 3, time.Second, client.Summary{}), errors.New("broken"))
	if err == nil || stderr.Len() > 0 {
		t.Errorf("error %v, stderr %q", err, stderr)
	}
}
