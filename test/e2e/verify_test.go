package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/storecheck"
	"laneway.dev/test/deployment"
	"laneway.dev/test/s3server"
)

// verifyStore runs laneway store verify, which must end with an exit code, and returns its
// report. With words, its text must have them too.
func (f *fixture) verifyStore(ctx context.Context, t *testing.T, code int, words []string, args ...string) *storecheck.Report {
	t.Helper()
	args = append([]string{"store", "verify", f.Store}, args...)
	got, text, err := deployment.ExitCode(f.Laneway(ctx, args...))
	if err != nil || got != code {
		t.Fatalf("%q: exit code %d (%v), want %d:\n%s", args, got, err, code, text)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q does not say %q:\n%s", args, word, text)
		}
	}
	command := f.Laneway(ctx, append(args, "--json")...)
	content, _ := command.Output() // the exit code is the same
	report := new(storecheck.Report)
	if err := json.Unmarshal(content, report); err != nil {
		t.Fatalf("%v in %s", err, content)
	}
	return report
}

func TestStoreVerifyReportsAffectedOffsets(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{Frontend: uploadsAll})
	h := &hostile{fixture: f, t: t, ctx: ctx, conn: f.conn}
	var files []string
	for _, topic := range []string{"whole", "altered", "missing"} {
		p := f.CreateTopic(f.conn, topic).Partition(0)
		// One after the other, so that each batch has an object of its own.
		if ack := f.request(ctx, t, &nats.Msg{Subject: p.ProduceSubject(), Data: []byte("precious")}); ack.Error != nil {
			t.Fatal(ack.Error)
		}
		files = append(files, h.objectOf(p))
	}
	key := func(file string) string {
		name, err := filepath.Rel(f.Objects(), file)
		if err != nil {
			t.Fatal(err)
		}
		return filepath.ToSlash(name)
	}

	report := f.verifyStore(ctx, t, 0, []string{"nothing is damaged"}, "--nats", f.URL())
	if s, l := report.Store, report.Logs; s.Objects != 3 || s.Batches != 3 || s.Records != 3 || l.Topics != 4 || l.Batches != 3 || l.Waiting.Objects != 0 {
		t.Errorf("clean: the report has %+v and %+v", s, l)
	}

	if err := alter(files[1]); err != nil {
		t.Fatal(err)
	}
	report = f.verifyStore(ctx, t, 1, []string{key(files[1]), "altered/0, offset 0"}, "--nats", f.URL())
	if len(report.Damaged) != 1 || report.Damaged[0].Key != key(files[1]) || len(report.Damaged[0].Affects) != 1 {
		t.Errorf("altered: damaged are %+v", report.Damaged)
	}

	if err := os.Remove(files[2]); err != nil {
		t.Fatal(err)
	}
	report = f.verifyStore(ctx, t, 1, []string{key(files[2]), "missing/0, offset 0", "2 objects"}, "--nats", f.URL())
	if len(report.Damaged) != 2 || len(report.Logs.Lost) != 2 || report.Logs.Lost[1].Topic != "missing" {
		t.Errorf("missing: damaged are %+v, of the logs it says %+v", report.Damaged, report.Logs)
	}

	// A store that does not answer is not called damaged.
	f.verifyStoreFails(ctx, t, 1, "--nats", f.URL(), "s3://bucket/prefix?endpoint=http://127.0.0.1:1")

	// Without a server the object that is missing is not missed.
	f.Terminate(deployment.Serve)
	report = f.verifyStore(ctx, t, 1, []string{key(files[1]), "altered/0 (1 batch, 1 record)", "the logs were not read"}, "--nats=")
	if len(report.Damaged) != 1 || report.Store.Objects != 2 {
		t.Errorf("without a server: the report has %+v, damaged are %+v", report.Store, report.Damaged)
	}
	// Nor is there a server to compare with.
	f.verifyStoreFails(ctx, t, 1, "--nats", f.URL())
	f.verifyStoreFails(ctx, t, 2, "--nats=", "ftp://bucket")
}

// verifyStoreFails runs laneway store verify, which must fail before it checks anything.
func (f *fixture) verifyStoreFails(ctx context.Context, t *testing.T, code int, args ...string) {
	t.Helper()
	args = append([]string{"store", "verify"}, args...)
	got, text, err := deployment.ExitCode(f.Laneway(ctx, args...))
	if err != nil || got != code || strings.Contains(text, "object store file:") || strings.Contains(text, "object store s3:") {
		t.Errorf("%q: exit code %d (%v), want %d and no report:\n%s", args, got, err, code, text)
	}
}

func TestWrongPrefixIsNotCalledMissingObjects(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	s3 := s3server.Start(t)
	f := start(t, deployment.OneProcess, deployment.Options{Store: s3.Location("right"), Frontend: uploadsAll})
	if ack := f.request(ctx, t, &nats.Msg{Subject: f.partition.ProduceSubject(), Data: []byte("precious")}); ack.Error != nil {
		t.Fatal(ack.Error)
	}
	for _, args := range f.readers(s3.Location("wrong")) {
		mustEnd(ctx, t, args, s3.Location("wrong"), s3.Location("right"), "no marker")
	}
	f.verifyStore(ctx, t, 0, []string{"nothing is damaged"}, "--nats", f.URL())
	// The right store that has lost only its marker is still compared.
	if err := os.Remove(filepath.Join(s3.Folder, "right", objectstore.MarkerName)); err != nil {
		t.Fatal(err)
	}
	report := f.verifyStore(ctx, t, 1, []string{"it has objects, but no marker", "what to do: "}, "--nats", f.URL())
	if len(report.Damaged) > 0 || report.Store.Batches != 1 {
		t.Errorf("the report has %+v, damaged are %+v", report.Store, report.Damaged)
	}
}

// storeUsage runs laneway store usage, which must end with an exit code, and returns what it says
// as text and as JSON.
func (f *fixture) storeUsage(ctx context.Context, t *testing.T, code int) (text string, usage storecheck.Usage) {
	t.Helper()
	args := []string{"store", "usage", f.Store, "--nats", f.URL()}
	got, text, err := deployment.ExitCode(f.Laneway(ctx, args...))
	if err != nil || got != code {
		t.Fatalf("%q: exit code %d (%v), want %d:\n%s", args, got, err, code, text)
	}
	content, _ := f.Laneway(ctx, append(args, "--json")...).Output() // the exit code is the same
	if err := json.Unmarshal(content, &usage); err != nil {
		t.Fatalf("%v in %s", err, content)
	}
	return text, usage
}

func TestStoreUsageTellsTopicsApart(t *testing.T) {
	t.Parallel()
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{Frontend: uploadsAll})
		h := &hostile{fixture: f, t: t, ctx: ctx, conn: f.conn}
		var files []string
		for _, topic := range []string{"kept", "deleted"} {
			p := f.CreateTopic(f.conn, topic).Partition(0)
			// One after the other, so that each batch has an object of its own.
			if ack := f.request(ctx, t, &nats.Msg{Subject: p.ProduceSubject(), Data: []byte("precious")}); ack.Error != nil {
				t.Fatal(ack.Error)
			}
			files = append(files, h.objectOf(p))
		}
		_, before := f.storeUsage(ctx, t, 0)
		if len(before.Topics) != 3 || before.Topics[0].Topic != "deleted" || before.Topics[1].Records != 1 || before.Waiting.Objects != 0 ||
			before.LiveBytes != before.Topics[0].Bytes+before.Topics[1].Bytes || before.Bytes != before.LiveBytes+before.OtherBytes {
			t.Errorf("the usage is %+v", before)
		}
		f.DeleteTopic(f.conn, "deleted")
		text, after := f.storeUsage(ctx, t, 0)
		if len(after.Topics) != 2 || after.Waiting.Objects != 1 || after.Bytes != before.Bytes || after.LiveBytes != after.Topics[0].Bytes ||
			!strings.Contains(text, "1 object that no log needs") {
			t.Errorf("after a topic was deleted, the usage is %+v\n%s", after, text)
		}
		if err := os.Remove(files[0]); err != nil {
			t.Fatal(err)
		}
		if text, missing := f.storeUsage(ctx, t, 1); missing.MissingObjects != 1 || !strings.Contains(text, "laneway store verify") {
			t.Errorf("after an object was removed, the usage is %+v\n%s", missing, text)
		}
	})
}
