package storeid

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// in returns the store in a folder.
func in(t *testing.T, folder string) Candidate {
	t.Helper()
	store, err := objectstore.Open(folder, 0)
	if err != nil {
		t.Fatal(err)
	}
	return Candidate{Store: store, Place: folder}
}

func (c Candidate) adopted() Candidate {
	c.Adopt = true
	return c
}

// join is Join without the store that it returns.
func join(ctx context.Context, js jetstream.JetStream, c Candidate) error {
	_, err := Join(ctx, js, c, nil)
	return err
}

func mustJoin(t *testing.T, js jetstream.JetStream, c Candidate) {
	t.Helper()
	if err := join(limited(t), js, c); err != nil {
		t.Fatal(err)
	}
}

func mustRefuse(t *testing.T, err error, words ...string) {
	t.Helper()
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok {
		t.Fatalf("error %v, want a RefusedError", err)
	}
	for _, word := range words {
		if !strings.Contains(refused.Reason, word) {
			t.Errorf("%q does not say %q", refused.Reason, word)
		}
	}
	if refused.Advice == "" {
		t.Errorf("no advice for %q", refused.Reason)
	}
}

func TestRolesThatStartTogetherShareOneStore(t *testing.T) {
	for _, folders := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(folders, " folders"), func(t *testing.T) {
			_, js := embeddedtest.Start(t)
			ctx := limited(t)
			const starts = 8
			errs := make([]error, starts)
			root := t.TempDir()
			var wait sync.WaitGroup
			for i := range errs {
				c := in(t, filepath.Join(root, fmt.Sprint(i%folders)))
				wait.Go(func() { errs[i] = join(ctx, js, c) })
			}
			wait.Wait()
			started := 0
			for i, err := range errs {
				if err == nil {
					started++
				} else {
					mustRefuse(t, err, "is not that of this Laneway")
				}
				if (err == nil) != (errs[i%folders] == nil) {
					t.Errorf("role %d and role %d have the same store, and end with %v and %v", i, i%folders, err, errs[i%folders])
				}
			}
			if want := starts / folders; started != want {
				t.Errorf("%d roles have started, want the %d of one store", started, want)
			}
		})
	}
}

// A role that dies after each of its steps may be followed by one with the same store, or
// with another one.
func TestInterruptedMarkerIsCompleted(t *testing.T) {
	const lastStep = 4
	for steps := range lastStep + 1 {
		for _, other := range []bool{false, true} {
			t.Run(fmt.Sprint(steps, " steps, another store ", other), func(t *testing.T) {
				_, js := embeddedtest.Start(t)
				ctx, first := limited(t), in(t, t.TempDir())
				dying := &joining{js: js, candidate: first}
				marked := false
				for range steps {
					next, err := dying.look(ctx)
					if err == nil {
						marked = next.done()
						err = dying.act(ctx, next)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if marked != (steps == lastStep) {
					t.Fatalf("the store is the cluster's after %d steps: %v", steps, marked)
				}
				second := first
				if other {
					second = in(t, t.TempDir())
				}
				err := join(ctx, js, second)
				if record, recordErr := dying.readRecord(ctx); recordErr != nil || record.Store == "" {
					t.Fatalf("record %v (%v) names no store", record, recordErr)
				}
				if other && steps >= lastStep-1 { // the record names the first one
					mustRefuse(t, err, second.Place, "no marker")
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if other {
					mustRefuse(t, join(ctx, js, first), first.Place)
				}
			})
		}
	}
}

func TestTwoLanewaysDoNotShareAStore(t *testing.T) {
	_, js := embeddedtest.Start(t)
	_, others := embeddedtest.Start(t)
	ctx, c := limited(t), in(t, t.TempDir())
	mustJoin(t, js, c)
	mustRefuse(t, join(ctx, others, c), "belongs to another Laneway")
	if _, err := others.KeyValue(ctx, bucket); !errors.Is(err, jetstream.ErrBucketNotFound) {
		t.Errorf("a role that was refused has left a bucket: %v", err)
	}
	mustJoin(t, others, in(t, t.TempDir()))
	mustRefuse(t, join(ctx, others, c.adopted()), "belongs to another Laneway") // it has one by now
	mustJoin(t, js, c)
}

func TestStoreWithLostMetadataIsAdopted(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx, c := limited(t), in(t, t.TempDir())
	mustJoin(t, js, c)
	if err := js.DeleteKeyValue(ctx, bucket); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, join(ctx, js, c), c.Place)
	mustJoin(t, js, c.adopted())
	mustJoin(t, js, c)
	mustRefuse(t, join(ctx, js, in(t, t.TempDir()).adopted()), "no marker")
}

func TestLogsWithoutARecordDoNotGetAnEmptyStore(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx, c := limited(t), in(t, t.TempDir())
	partition := protocol.Partition{Topic: "orders", TopicID: 7}
	logtest.Of(t, js.Conn(), partition).Append(0, messages.EncodeEntry(messages.Entry{TopicID: partition.TopicID, Created: true}))
	mustRefuse(t, join(ctx, js, c), "logs exist, but the store has no marker")
	object, err := objectstore.NewKey(time.Now(), nil)
	if err == nil {
		err = c.Store.Put(ctx, object, [][]byte{[]byte("x")})
	}
	if err != nil {
		t.Fatal(err)
	}
	mustJoin(t, js, c)
}

func TestLostMarkerCanBeWrittenAgain(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx, c := limited(t), in(t, t.TempDir())
	mustJoin(t, js, c)
	file := filepath.Join(c.Place, objectstore.MarkerName)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refused, ok := errors.AsType[*RefusedError](join(ctx, js, c))
	if !ok {
		t.Fatal("a store without its marker is taken")
	}
	_, rest, _ := strings.Cut(refused.Advice, "write {")
	text, _, found := strings.Cut(rest, "}")
	if !found {
		t.Fatalf("the advice has no marker: %s", refused.Advice)
	}
	if err := os.WriteFile(file, []byte("{"+text+"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustJoin(t, js, c)
}

func TestDamagedMarkerAndDamagedRecordAreReported(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx, c := limited(t), in(t, t.TempDir())
	mustJoin(t, js, c)
	file := filepath.Join(c.Place, objectstore.MarkerName)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content[:10], 0o600); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, join(ctx, js, c.adopted()), "marker is damaged")
	kv, err := js.KeyValue(ctx, bucket)
	if err == nil {
		_, err = kv.PutString(ctx, key, "{")
	}
	if err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, join(ctx, js, c.adopted()), "bucket LANEWAY_CLUSTER is damaged")
}

func TestStoreThatCannotBeMarkedEndsTheStart(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx, c := limited(t), in(t, filepath.Join(t.TempDir(), "objects"))
	if err := os.RemoveAll(c.Place); err != nil { // its volume goes away
		t.Fatal(err)
	}
	if err := join(ctx, js, c); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want that of the store", err)
	}
}
