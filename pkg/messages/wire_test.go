package messages

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"laneway.dev/pkg/protocol"
)

func mustDecode(t testing.TB, data []byte) Message {
	t.Helper()
	m, err := Decode(data)
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	return m
}

func TestEveryKindHasASampleAndAGenerator(t *testing.T) {
	for k := range body {
		if samples[k] == nil || genBody[k] == nil {
			t.Errorf("kind %d is not tested", k)
			continue
		}
		if got := samples[k].kind(); got != k {
			t.Errorf("the sample of kind %d is of kind %d", k, got)
		}
	}
	if len(samples) != len(body) || len(genBody) != len(body) {
		t.Errorf("%d kinds, %d samples, %d generators", len(body), len(samples), len(genBody))
	}
}

func TestMessageSurvivesTheWire(t *testing.T) {
	for _, want := range samples {
		t.Run(fmt.Sprintf("%T", want), func(t *testing.T) {
			got := mustDecode(t, Encode(want))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-sent +received\n%s", diff)
			}
			if got.Of() != samplePartition {
				t.Errorf("Of() is %v", got.Of())
			}
		})
	}
}

// Our decoders would not notice an array that announces fewer fields than it has.
func TestEncodingIsOneArray(t *testing.T) {
	for name, c := range encodings() {
		t.Run(name, func(t *testing.T) {
			d := msgpack.NewDecoder(bytes.NewReader(c.data))
			if _, err := d.DecodeSlice(); err != nil {
				t.Fatal(err)
			}
			if more, err := d.DecodeInterface(); !errors.Is(err, io.EOF) {
				t.Errorf("%v (%v) follows the array", more, err)
			}
		})
	}
}

func TestMessageWithoutItemsSurvivesTheWire(t *testing.T) {
	for _, want := range []Message{
		Stage{},
		Refused{},
		Holding{},
		Staged{},
		Announce{},
		Announced{},
		Advance{},
		Missing{},
		Fenced{},
		Release{},
		ReleaseAgain{},
		Hello{},
		Outcomes{},
		Committed{},
		Archive{},
		Archived{},
	} {
		if diff := cmp.Diff(want, mustDecode(t, Encode(want))); diff != "" {
			t.Errorf("%T: -sent +received\n%s", want, diff)
		}
	}
}

func TestAnyMessageSurvivesTheWire(t *testing.T) {
	for k, draw := range genBody {
		t.Run(fmt.Sprintf("%T", samples[k]), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				want := draw(t, genPartition.Draw(t, "partition"), rapid.Uint64().Draw(t, "epoch"))
				got, err := Decode(Encode(want))
				if err != nil {
					t.Fatalf("Decode: %v", err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("-sent +received\n%s", diff)
				}
			})
		})
	}
}

func TestEncodedMessagesDoNotShareMemory(t *testing.T) {
	first := Encode(Hello{samplePartition, 1})
	kept := string(first)
	for range 100 {
		Encode(Hello{protocol.Partition{Topic: "another"}, 2})
	}
	if string(first) != kept {
		t.Error("a later Encode changed an earlier result")
	}
}

func TestCodecIsSafeForConcurrentUse(t *testing.T) {
	var wg sync.WaitGroup
	for _, want := range samples {
		wg.Go(func() {
			for range 200 {
				got, err := Decode(Encode(want))
				if err != nil || !cmp.Equal(want, got) {
					t.Errorf("%T came back as %v, %v", want, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestSmallMessageStaysSmall(t *testing.T) {
	if n := len(Encode(Hello{protocol.Partition{Topic: "t"}, 1})); n > 17 {
		t.Errorf("a Hello takes %d bytes", n)
	}
}
