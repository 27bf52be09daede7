package sweepstate_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/sweepstate"
	"laneway.dev/pkg/protocol"
)

func partition(number int32) protocol.Partition {
	return protocol.Partition{Topic: "orders", TopicID: 7, Number: number}
}

func TestDamageNamesTheLogTheReasonAndWhatToDo(t *testing.T) {
	var none *sweepstate.Behind
	b := sweepstate.NewBehind("NATS as a whole was restored")
	b.Add(partition(0), "entry 5 is missing")
	b.Add(partition(1), "NATS as a whole was restored")
	repaired, other := partition(0), partition(2)
	repaired.Incarnation++
	for _, c := range []struct {
		behind *sweepstate.Behind
		of     protocol.Partition
		want   []string
	}{
		{none, partition(0), nil},
		{b, other, nil},
		{b, repaired, nil},
		{b, partition(0), []string{"0000000000000007-0 is older than the object store (entry 5 is missing)", "laneway topic repair orders", "laneway store accept", "newer data of NATS"}},
		{b, partition(1), []string{"0000000000000007-1 is older than the object store (NATS as a whole was restored)"}},
		{&sweepstate.Behind{All: true, Reason: "all"}, other, []string{"-2 is older than the object store (all)"}},
	} {
		got := c.behind.Damage(c.of)
		if len(c.want) == 0 && got != "" {
			t.Errorf("%+v of %+v: %q", c.of, c.behind, got)
		}
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%+v of %+v: %q does not say %q", c.of, c.behind, got, want)
			}
		}
	}
}

func TestLogsThatAreBehindAreKeptUntilNoneIs(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx := t.Context()
	want := func(want *sweepstate.Behind) {
		t.Helper()
		if got, err := sweepstate.Logs(ctx, conn); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("kept is %+v, %v, want %+v", got, err, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want(nil) // without the bucket
	kv, err := kvbucket.OpenBucket(ctx, js, sweepstate.Bucket, "")
	must(err)
	want(nil)
	few, many := sweepstate.NewBehind("why"), sweepstate.NewBehind("why")
	few.Add(partition(3), "another reason")
	for n := range int32(5000) {
		many.Add(partition(n), fmt.Sprint("another reason ", n, strings.Repeat("x", 1000)))
	}
	must(sweepstate.NoteBehind(ctx, js, few))
	want(few)
	must(sweepstate.NoteBehind(ctx, js, many))
	want(&sweepstate.Behind{All: true, Reason: "why"})
	must(sweepstate.NoteBehind(ctx, js, nil))
	must(sweepstate.NoteBehind(ctx, js, nil))
	want(nil)
	_, err = kv.PutString(ctx, "behind", "{")
	must(err)
	if _, err := sweepstate.Logs(ctx, conn); !errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
		t.Errorf("a value that cannot be read: %v", err)
	}
}
