package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/storetest"
)

// failing returns errors one after the other, and then nil.
func failing(errs ...error) func(string) error {
	return func(string) error {
		if len(errs) == 0 {
			return nil
		}
		err := errs[0]
		errs = errs[1:]
		return err
	}
}

func wantIs(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

func TestObjectsAndMarkerLieBelowThePrefix(t *testing.T) {
	bucket, key := newMemory(), storetest.NewKey(t)
	store := newStore(bucket, "some/prefix")
	if err := errors.Join(store.Mark(t.Context(), []byte("m")), store.Below("c1").Put(t.Context(), key, nil)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"some/prefix/laneway-store", "some/prefix/c1/" + key} {
		if _, there := bucket.objects[want]; !there {
			t.Errorf("%q is not there", want)
		}
	}
}

func TestAFailedPutIsNotRepeated(t *testing.T) {
	for _, cause := range []error{
		objectstore.ErrUnreachable, objectstore.ErrThrottled, objectstore.ErrConflict, objectstore.ErrDigest,
		objectstore.ErrDenied, io.ErrUnexpectedEOF, errors.New("unknown"),
	} {
		bucket, key := newMemory(), storetest.NewKey(t)
		bucket.fail = failing(cause)
		wantIs(t, newStore(bucket, "").Put(t.Context(), key, nil), cause)
		if len(bucket.calls) != 1 {
			t.Errorf("%v: %d requests, want one", cause, len(bucket.calls))
		}
	}
}

func TestAPutIsRepeatedWithNewCredentials(t *testing.T) {
	bucket, key := newMemory(), storetest.NewKey(t)
	bucket.fail = func(string) error {
		if bucket.renewed == 0 {
			return objectstore.ErrCredentials
		}
		return nil
	}
	if err := newStore(bucket, "").Put(t.Context(), key, [][]byte{[]byte("x")}); err != nil || string(bucket.objects[key]) != "x" {
		t.Errorf("%q is stored (%v)", bucket.objects[key], err)
	}
	bucket.fail = failing(objectstore.ErrCredentials, objectstore.ErrCredentials)
	wantIs(t, newStore(bucket, "").Put(t.Context(), key, nil), objectstore.ErrCredentials)
	if len(bucket.calls) != 4 {
		t.Errorf("%d requests, want two for each put", len(bucket.calls))
	}
}

// The second request would have the hash of its own bytes.
func TestAnAlteredPutIsNotRepeatedWithNewCredentials(t *testing.T) {
	bucket := newMemory()
	bucket.fail = failing(objectstore.ErrCredentials)
	wantIs(t, newStore(bucket, "").PutAltered(t.Context(), storetest.NewKey(t)), objectstore.ErrCredentials)
	if len(bucket.calls) != 1 || len(bucket.objects) != 0 {
		t.Errorf("%d requests, and %d objects are stored; want one and none", len(bucket.calls), len(bucket.objects))
	}
}

// requests are all requests but the put of an object.
var requests = map[string]func(context.Context, objectstore.Store, string) error{
	"read": func(ctx context.Context, store objectstore.Store, key string) error {
		_, err := store.ReadRange(ctx, key, 0, 1)
		return err
	},
	"size": func(ctx context.Context, store objectstore.Store, key string) error {
		_, err := store.ReadRange(ctx, key, 0, 0)
		return err
	},
	"list": func(ctx context.Context, store objectstore.Store, _ string) error {
		for _, err := range store.List(ctx, "") {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"delete": func(ctx context.Context, store objectstore.Store, key string) error { return store.Delete(ctx, key) },
	"mark": func(ctx context.Context, store objectstore.Store, _ string) error {
		return store.Mark(ctx, []byte("m"))
	},
}

func TestOtherRequestsAreRepeatedAfterAPassingFault(t *testing.T) {
	for name, request := range requests {
		t.Run(name, func(t *testing.T) {
			for _, cause := range []error{
				objectstore.ErrUnreachable, objectstore.ErrThrottled, objectstore.ErrConflict, objectstore.ErrDigest,
				objectstore.ErrCredentials, io.ErrUnexpectedEOF,
			} {
				synctest.Test(t, func(t *testing.T) {
					bucket, key := newMemory(), storetest.NewKey(t)
					bucket.objects[key] = []byte("x")
					bucket.fail = failing(cause)
					if err := request(t.Context(), newStore(bucket, ""), key); err != nil {
						t.Errorf("%v: %v", cause, err)
					}
					if renewed := bucket.renewed > 0; renewed != errors.Is(cause, objectstore.ErrCredentials) {
						t.Errorf("%v: credentials renewed: %v", cause, renewed)
					}
				})
			}
		})
	}
}

func TestAListContinuesAfterAPassingFaultOfAnyPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := newMemory()
		for range 3*page - 1 {
			bucket.objects[storetest.NewKey(t)] = nil
		}
		calls := 0
		bucket.fail = func(string) error {
			if calls++; calls%2 == 1 { // each page fails once
				return objectstore.ErrThrottled
			}
			return nil
		}
		var listed []string
		for object, err := range newStore(bucket, "").List(t.Context(), string(objectstore.KindUndated)) {
			if err != nil {
				t.Fatal(err)
			}
			listed = append(listed, object.Key)
		}
		if want := slices.Sorted(maps.Keys(bucket.objects)); !slices.Equal(listed, want) || calls != 6 {
			t.Errorf("%d objects are listed in %d requests, want each of %d once, in 6", len(listed), calls, len(want))
		}
	})
}

func TestAFaultThatStaysIsAnErrorAfterThreeRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket, key := newMemory(), storetest.NewKey(t)
		bucket.fail = func(string) error { return fmt.Errorf("%w: away", objectstore.ErrUnreachable) }
		err := requests["read"](t.Context(), newStore(bucket, ""), key)
		wantIs(t, err, objectstore.ErrUnreachable)
		if len(bucket.calls) != attempts || !strings.Contains(err.Error(), key) {
			t.Errorf("%d requests and error %v", len(bucket.calls), err)
		}
	})
}

func TestAFaultThatLastsIsAnErrorAtOnce(t *testing.T) {
	for name, request := range requests {
		for _, cause := range []error{objectstore.ErrDenied, objectstore.ErrNoBucket, objectstore.ErrClock, objectstore.ErrRegion, objectstore.ErrTLS} {
			bucket := newMemory()
			bucket.fail = func(string) error { return cause }
			wantIs(t, request(t.Context(), newStore(bucket, ""), storetest.NewKey(t)), cause)
			if len(bucket.calls) != 1 {
				t.Errorf("%s, %v: %d requests, want one", name, cause, len(bucket.calls))
			}
		}
	}
}

func TestTheEndOfAContextDuringAPauseNamesTheFault(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	bucket := newMemory()
	bucket.fail = func(string) error { cancel(); return objectstore.ErrThrottled }
	err := requests["read"](ctx, newStore(bucket, ""), storetest.NewKey(t))
	wantIs(t, err, context.Canceled)
	wantIs(t, err, objectstore.ErrThrottled)
}

func TestABodyThatIsCutOffIsShort(t *testing.T) {
	bucket, key := newMemory(), storetest.NewKey(t)
	bucket.objects[key], bucket.cut = []byte("hello"), 1
	content, err := newStore(bucket, "").ReadRange(t.Context(), key, 0, 4)
	if wantIs(t, err, objectstore.ErrShort); content != nil || len(bucket.calls) != 1 {
		t.Errorf("%q after %d requests; it is up to the caller to repeat", content, len(bucket.calls))
	}
}

func TestAMarkerThatIsCutOffIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := newMemory()
		bucket.objects[objectstore.MarkerName], bucket.cut = []byte("mine"), 1
		bucket.fail = func(string) error {
			if len(bucket.calls) == 3 {
				bucket.cut = 0
			}
			return nil
		}
		if text, err := newStore(bucket, "").Marker(t.Context()); err != nil || string(text) != "mine" {
			t.Errorf("the marker is %q (%v)", text, err)
		}
	})
}

func TestAServerWithoutRangesIsNamed(t *testing.T) {
	bucket, key := newMemory(), storetest.NewKey(t)
	bucket.objects[key], bucket.whole = []byte("hello"), true
	store := newStore(bucket, "")
	for _, r := range [][2]int64{{0, 4}, {1, 3}} {
		if _, err := store.ReadRange(t.Context(), key, r[0], r[1]); err == nil || !strings.Contains(err.Error(), "does not support ranges") {
			t.Errorf("range %v: error %v", r, err)
		}
	}
	if content, err := store.ReadRange(t.Context(), key, 0, 5); err != nil || string(content) != "hello" {
		t.Errorf("the whole object: %q (%v)", content, err)
	}
}

func TestAServerThatIgnoresConditionsKeepsItsMarker(t *testing.T) {
	bucket := newMemory()
	bucket.lax = true
	store := newStore(bucket, "")
	if err := store.Mark(t.Context(), []byte("mine")); err != nil {
		t.Fatal(err)
	}
	wantIs(t, store.Mark(t.Context(), []byte("yours")), objectstore.ErrExists)
	if text := string(bucket.objects[objectstore.MarkerName]); text != "mine" {
		t.Errorf("the marker is %q", text)
	}
}

func TestAListAsksOnlyForObjects(t *testing.T) {
	bucket := newMemory()
	for object, err := range newStore(bucket, "p").List(t.Context(), "") {
		t.Errorf("%q is listed (%v)", object.Key, err)
	}
	if want := []string{"list p/o/", "list p/objects/", "list p/s/", "list p/m/", "list p/r/"}; !slices.Equal(bucket.calls, want) {
		t.Errorf("requests %q, want %q", bucket.calls, want)
	}
}

func TestAListOfOneKindAsksOnlyForIt(t *testing.T) {
	for prefix, want := range map[string][]string{
		"objects/3":           {"list p/objects/3"},
		"s":                   {"list p/s/"},
		"s/0000000000000001/": {"list p/s/0000000000000001/"},
		"m/":                  {"list p/m/"},
		"x":                   nil,
	} {
		bucket := newMemory()
		for object, err := range newStore(bucket, "p").List(t.Context(), prefix) {
			t.Errorf("with prefix %q, %q is listed (%v)", prefix, object.Key, err)
		}
		if !slices.Equal(bucket.calls, want) {
			t.Errorf("with prefix %q, requests %q, want %q", prefix, bucket.calls, want)
		}
	}
}

func TestAKindThatCannotBeListedHidesNoOther(t *testing.T) {
	bucket := newMemory()
	segment, err := objectstore.NewSegmentKey(1, time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	bucket.objects[segment] = nil
	bucket.fail = failing(objectstore.ErrDenied)
	var found []string
	var errs []error
	for object, err := range newStore(bucket, "").List(t.Context(), "") {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, object.Key)
	}
	if len(errs) != 1 || !slices.Equal(found, []string{segment}) {
		t.Errorf("%q is listed with the errors %v, want %q and one error", found, errs, segment)
	}
}

func TestAPayloadReadsAsItsParts(t *testing.T) {
	parts := [][]byte{nil, []byte("hel"), {}, []byte("l"), []byte("o, world"), nil}
	whole := bytes.Join(parts, nil)
	if err := iotest.TestReader(newPayload(parts), whole); err != nil {
		t.Error(err)
	}
	for offset := range len(whole) + 1 {
		body := newPayload(parts)
		if _, err := body.Seek(int64(offset), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		var rest bytes.Buffer
		if n, err := body.WriteTo(&rest); err != nil || n != int64(rest.Len()) || rest.String() != string(whole[offset:]) {
			t.Errorf("from %d on: %q, %d bytes (%v)", offset, rest.String(), n, err)
		}
	}
	if _, err := newPayload(parts).Seek(1, io.SeekEnd); err == nil {
		t.Error("a position behind the end is accepted")
	}
}
