package selftest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"laneway.dev/internal/objectstore"
)

// faulty is a store in a folder with some methods replaced.
type faulty struct {
	objectstore.Store
	put, read, list, remove error // instead of what the store would answer
	replaces                bool  // puts replace objects
	denies                  bool  // reads are denied, whether the object exists or not
	altered                 error // of PutAltered
}

func (f *faulty) Below(string) objectstore.Store { return f }

func (f *faulty) Put(ctx context.Context, key string, parts [][]byte) error {
	if f.put != nil {
		return f.put
	}
	if f.replaces {
		_ = f.Store.Delete(ctx, key)
	}
	return f.Store.Put(ctx, key, parts)
}

func (f *faulty) PutAltered(ctx context.Context, key string) error {
	if f.altered == nil {
		return f.Store.Put(ctx, key, [][]byte{[]byte("altered")})
	}
	return f.altered
}

func (f *faulty) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if f.denies {
		return nil, objectstore.ErrDenied
	}
	content, err := f.Store.ReadRange(ctx, key, offset, length)
	if err == nil && f.read != nil {
		err = f.read
	}
	return content, err
}

func (f *faulty) List(ctx context.Context, prefix string) iter.Seq2[objectstore.Listed, error] {
	if f.list != nil {
		return func(yield func(objectstore.Listed, error) bool) { yield(objectstore.Listed{}, f.list) }
	}
	return f.Store.List(ctx, prefix)
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	if f.remove != nil {
		return f.remove
	}
	return f.Store.Delete(ctx, key)
}

func folder(t *testing.T) objectstore.Store {
	t.Helper()
	store, err := objectstore.Open(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func run(t *testing.T, store objectstore.Store) map[Step]Finding {
	t.Helper()
	findings, err := Run(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[Step]Finding)
	for _, f := range findings {
		found[f.Step] = f
	}
	if len(found) != len(findings) {
		t.Fatalf("findings are %+v, want at most one for each step", findings)
	}
	return found
}

func TestLocalStoreWorks(t *testing.T) {
	store := folder(t)
	found := run(t, store)
	for _, step := range []Step{Put, Again, Read, List, Delete} {
		f, tried := found[step]
		if !tried {
			t.Errorf("%s was not tried", step)
		}
		if f.Err != nil || f.Lacks != "" || f.Skipped {
			t.Errorf("%s: %+v, want that it works", step, f)
		}
	}
	for o, err := range store.List(t.Context(), "") {
		t.Errorf("the test has left %v, %v", o, err)
	}
}

func TestRejectedCredentialsDoNotTellWhetherHashesAreCompared(t *testing.T) {
	f := run(t, &faulty{Store: folder(t), altered: objectstore.ErrCredentials})[Altered]
	if f.Err != nil || f.Skipped || !strings.Contains(f.Lacks, "not known") {
		t.Errorf("the finding is %+v, want neither a failure nor success", f)
	}
}

func TestEachFailureIsFoundInItsStep(t *testing.T) {
	denied := fmt.Errorf("request: %w", objectstore.ErrDenied)
	for name, c := range map[string]struct {
		store   faulty
		failed  []Step
		skipped []Step
	}{
		"put":    {faulty{put: denied, altered: denied}, []Step{Put, Altered}, []Step{Again, Read, Delete}},
		"read":   {faulty{read: denied, altered: objectstore.ErrDigest}, []Step{Read}, nil},
		"list":   {faulty{list: denied, altered: objectstore.ErrDigest}, []Step{List}, nil},
		"delete": {faulty{remove: denied, altered: objectstore.ErrDigest}, []Step{Delete}, nil},
		"hash":   {faulty{}, []Step{Altered}, nil},

		"credentials": {faulty{put: objectstore.ErrExpired, altered: objectstore.ErrExpired}, []Step{Put, Altered}, []Step{Again, Read, Delete}},
	} {
		t.Run(name, func(t *testing.T) {
			c.store.Store = folder(t)
			for step, f := range run(t, &c.store) {
				if failed := slices.Contains(c.failed, step); failed != (f.Err != nil) {
					t.Errorf("%s: the error is %v", step, f.Err)
				}
				if skipped := slices.Contains(c.skipped, step); skipped != f.Skipped {
					t.Errorf("%s: skipped is %t", step, f.Skipped)
				}
			}
		})
	}
}

func TestStoreThatReplacesObjectsLacksThat(t *testing.T) {
	f := run(t, &faulty{Store: folder(t), replaces: true, altered: objectstore.ErrDigest})[Again]
	if f.Err != nil || !strings.Contains(f.Lacks, "conditions") {
		t.Errorf("the finding is %+v, want that the store lacks conditions", f)
	}
}

func TestCauseNamesTheMissingRight(t *testing.T) {
	for _, c := range []struct {
		scheme string
		step   Step
		want   string
	}{
		{"s3", Put, "s3:PutObject"},
		{"s3", List, "s3:ListBucket"},
		{"gs", Delete, "storage.objects.delete"},
		{"azblob", Read, "blobs/read"},
		{"file", Put, "do not allow putting objects"},
	} {
		sentence, advice := Cause(c.scheme, c.step, fmt.Errorf("put: %w", objectstore.ErrDenied))
		if !strings.Contains(sentence, c.want) || advice == "" {
			t.Errorf("%s, %s: %q, advice %q, want %q", c.scheme, c.step, sentence, advice, c.want)
		}
	}
}

func TestEachCauseHasItsSentenceAndAdvice(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range causes {
		sentence, advice := Cause("s3", Read, fmt.Errorf("read object: %w: %w", c.of, errors.New("what the store said")))
		if seen[sentence] || advice == "" || !strings.Contains(sentence, "(what the store said)") {
			t.Errorf("%v: %q, advice %q", c.of, sentence, advice)
		}
		seen[sentence] = true
	}
	if sentence, _ := Cause("s3", Read, errors.New("odd")); !strings.Contains(sentence, "odd") || !strings.Contains(sentence, "ranged read") {
		t.Errorf("an unknown error gives %q", sentence)
	}
}

// hiding is a store that denies reading what does not exist, as S3 does without the right to list.
type hiding struct{ *faulty }

func (h *hiding) Below(string) objectstore.Store { return h }

func (h *hiding) ReadRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	content, err := h.faulty.ReadRange(ctx, key, offset, length)
	if errors.Is(err, objectstore.ErrNotFound) {
		err = objectstore.ErrDenied
	}
	return content, err
}

func TestDeniedReadIsNotBlamedOnTheDelete(t *testing.T) {
	denied := fmt.Errorf("request: %w", objectstore.ErrDenied)
	for name, c := range map[string]struct {
		store  objectstore.Store
		failed Step
	}{
		"no right to list": {&hiding{&faulty{Store: folder(t), list: denied, altered: objectstore.ErrDigest}}, List},
		"no right to read": {&faulty{Store: folder(t), denies: true, altered: objectstore.ErrDigest}, Read},
	} {
		for step, f := range run(t, c.store) {
			if (f.Err != nil) != (step == c.failed) {
				t.Errorf("%s: %s: %v", name, step, f.Err)
			}
		}
	}
}

func TestCauseNamesTheRegion(t *testing.T) {
	sentence, advice := Cause("s3", Put, fmt.Errorf("put: %w: %w", &objectstore.RegionError{Region: "eu-west-1"}, errors.New("moved")))
	if sentence != "the bucket is in the region eu-west-1 (moved)" || !strings.Contains(advice, "region=eu-west-1") {
		t.Errorf("%q, advice %q", sentence, advice)
	}
}

func TestLongAnswerIsCutOff(t *testing.T) {
	sentence, _ := Cause("s3", Put, fmt.Errorf("put: %w: %w", objectstore.ErrUnreachable, errors.New(strings.Repeat("x", 1000))))
	if len(sentence) > 400 {
		t.Errorf("the cause has %d bytes", len(sentence))
	}
}

func TestCauseNamesTheServerThatCannotBeReached(t *testing.T) {
	err := fmt.Errorf("put: %w: %w", objectstore.ErrUnreachable, fmt.Errorf("operation error S3: %w",
		&url.Error{Op: "Put", URL: "http://host:7070/bucket/key?x-id=PutObject", Err: errors.New("connection refused")}))
	if sentence, _ := Cause("s3", Put, err); !strings.HasSuffix(sentence, "(host:7070: connection refused)") {
		t.Errorf("the cause is %q", sentence)
	}
}

// silent is a store that answers no request, or none but puts, which it denies.
type silent struct {
	objectstore.Store
	answersPuts bool
}

func (s silent) Below(string) objectstore.Store { return s }

func (s silent) Put(ctx context.Context, _ string, _ [][]byte) error {
	if s.answersPuts {
		return objectstore.ErrDenied
	}
	<-ctx.Done()
	return ctx.Err()
}

func (silent) List(ctx context.Context, _ string) iter.Seq2[objectstore.Listed, error] {
	return func(yield func(objectstore.Listed, error) bool) {
		<-ctx.Done()
		yield(objectstore.Listed{}, ctx.Err())
	}
}

func TestTestEndsWithTheFirstStepThatIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		found := run(t, silent{})
		if f := found[Put]; !errors.Is(f.Err, objectstore.ErrUnreachable) || f.Took != stepTime {
			t.Errorf("put ends after %v with %v", f.Took, f.Err)
		}
		if f := found[List]; !f.Skipped || f.Took != 0 {
			t.Errorf("list ends after %v with %v, want that it is not tried", f.Took, f.Err)
		}
	})
}

func TestACanceledTestDoesNotBlameTheStore(t *testing.T) {
	interrupted := errors.New("interrupt")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(interrupted)
	findings, err := Run(ctx, &faulty{put: context.Canceled, altered: context.Canceled, list: context.Canceled})
	if len(findings) != 0 || !errors.Is(err, interrupted) {
		t.Errorf("findings are %v, error is %v, want the cause of the cancellation alone", findings, err)
	}
}

func TestListEndsIfTheStoreIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := run(t, silent{answersPuts: true})[List]
		if !errors.Is(f.Err, objectstore.ErrUnreachable) || f.Took != stepTime {
			t.Errorf("list ends after %v with %v", f.Took, f.Err)
		}
	})
}
