package layout

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"laneway.dev/pkg/protocol"
)

func TestPartitionSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := protocol.Partition{
			Topic: rapid.StringN(0, -1, MaxText).Draw(t, "topic"), TopicID: rapid.Uint64().Draw(t, "topic id"),
			Number: rapid.Int32Range(0, math.MaxInt32).Draw(t, "number"), Incarnation: rapid.Uint32().Draw(t, "incarnation"),
		}
		data := AppendPartition([]byte("x"), want)[1:]
		r := NewReader(data)
		if got := r.Partition(); got != want || r.End() != nil {
			t.Fatalf("%+v came back as %+v, %v", want, got, r.End())
		}
		cut := NewReader(data[:rapid.IntRange(0, len(data)-1).Draw(t, "cut")])
		if cut.Partition(); !errors.Is(cut.End(), protocol.ErrMalformed) {
			t.Fatalf("a part of a partition is read: %v", cut.End())
		}
	})
}

func TestFirstFailureSticks(t *testing.T) {
	r := NewReader([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
	r.Uint16()
	r.Fail("reason %d", 7)
	if r.Uint64() != 0 || r.Uint32() != 0 || r.Uint16() != 0 || r.Uvarint() != 0 || r.Text() != "" || r.Count(1) != 0 || r.Left() != 0 {
		t.Error("there are values after the failure")
	}
	for _, err := range []error{r.Err(), r.End()} {
		if !errors.Is(err, protocol.ErrMalformed) || !strings.Contains(err.Error(), "reason 7") {
			t.Errorf("error is %v", err)
		}
	}
}

func TestRestIsAFailure(t *testing.T) {
	r := NewReader([]byte{1, 2, 3})
	if v := r.Uint16(); v != 0x0201 || r.Err() != nil {
		t.Errorf("%x, %v", v, r.Err())
	}
	if err := r.End(); !errors.Is(err, protocol.ErrMalformed) || !strings.Contains(err.Error(), "1 bytes after the end") {
		t.Errorf("error is %v", err)
	}
}

func TestCountIsBoundedByTheBytes(t *testing.T) {
	if n := NewReader([]byte{2, 0, 0, 0, 1, 2, 3, 4, 5, 6}).Count(3); n != 2 {
		t.Errorf("2 items of 3 bytes are %d", n)
	}
	r := NewReader([]byte{2, 0, 0, 0, 1, 2, 3, 4, 5})
	if n := r.Count(3); n != 0 || !errors.Is(r.Err(), protocol.ErrMalformed) {
		t.Errorf("2 items of 3 bytes in 5 are %d, %v", n, r.Err())
	}
}

func TestChecksumCoversEveryByte(t *testing.T) {
	data := AppendSum([]byte("not this, but this"), 9)[9:]
	if body, err := CutSum("it", data); err != nil || string(body) != " but this" {
		t.Fatalf("%q, %v", body, err)
	}
	for at := range data {
		data[at] ^= 1
		if _, err := CutSum("it", data); !errors.Is(err, protocol.ErrMalformed) || !strings.Contains(err.Error(), "CRC-32C of it is") {
			t.Errorf("byte %d: %v", at, err)
		}
		data[at] ^= 1
	}
	if _, err := CutSum("it", data[:3]); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("3 bytes: %v", err)
	}
}

func TestOtherVersionIsNoDamage(t *testing.T) {
	if err := CheckVersion(2, 2); err != nil {
		t.Error(err)
	}
	if err := CheckVersion(3, 2); !errors.Is(err, ErrVersion) || errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("error is %v", err)
	}
}
