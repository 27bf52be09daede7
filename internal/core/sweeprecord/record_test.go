package sweeprecord

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRecordSurvivesStorage(t *testing.T) {
	want := Record{Key: "r/1/A", Number: 7, Generation: 12, Bound: 10, Logs: []Log{
		{"orders", 9, 0, 1, 44, 10}, {"orders", 9, 2, 0, 45, 11},
	}}
	data, err := Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode("r/1/A", data)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n-written +read\n%s", err, diff)
	}
	for n := range data {
		if _, err := Decode("r/1/A", data[:n]); !errors.Is(err, ErrTorn) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		damaged := append([]byte(nil), data...)
		damaged[n] ^= 1
		if _, err := Decode("r/1/A", damaged); err == nil {
			t.Fatalf("byte %d is altered, and the record is read", n)
		}
	}
}
