package protocol

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
)

// protocolBlocks returns the code blocks of a language in docs/protocol.md.
func protocolBlocks(t *testing.T, language string) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(page, -1) {
		blocks = append(blocks, string(m[1]))
	}
	if len(blocks) == 0 {
		t.Fatalf("docs/protocol.md has no block of %s", language)
	}
	return blocks
}

func protocolFrame(t *testing.T) []byte { return protocolFrames(t)[0] }

// protocolFrames returns the bytes of the hexadecimal blocks. What follows several spaces in a
// line is a comment.
func protocolFrames(t *testing.T) (frames [][]byte) {
	t.Helper()
	for _, block := range protocolBlocks(t, "hex") {
		digits := regexp.MustCompile("(?m)  .*$").ReplaceAllString(block, "")
		frame, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, frame)
	}
	return frames
}

func TestProtocolPageCompressedFrames(t *testing.T) {
	want := frameOf(Record{Value: []byte(strings.Repeat("hello ", 20))}, Record{Headers: []Header{{"a", "1"}}, Value: []byte("world")})
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	frames := protocolFrames(t)[1:]
	if len(frames) != len(Compressions()) {
		t.Fatalf("%d frames", len(frames))
	}
	for i, c := range Compressions() {
		head, err := ReadFrameHead(frames[i])
		if want := (FrameHead{c, 2, len(want)}); err != nil || head != want {
			t.Errorf("the head is %+v, %v; want %+v", head, err, want)
		}
		if plain, err := PlainFrame(frames[i]); err != nil || !bytes.Equal(plain, want) {
			t.Errorf("%s: the plain frame is %x, %v; want %x", c, plain, err, want)
		}
		if says := fmt.Sprintf("With %#q it has %d:", c, len(frames[i])); !bytes.Contains(page, []byte(says)) {
			t.Errorf("the page does not say %q", says)
		}
	}
}

func TestProtocolPageFrame(t *testing.T) {
	frame := protocolFrame(t)
	if n, err := CheckFrame(frame, 100); err != nil || n != 2 {
		t.Fatalf("%d records, %v", n, err)
	}
	r, err := NewFrameReader(frame)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, want := range []Record{{Value: []byte("hello")}, {Headers: []Header{{"a", "1"}}, Value: []byte("world")}} {
		if got, ok := r.Next(); !ok || !cmp.Equal(got, want) {
			t.Errorf("record %v, want %v", got, want)
		}
	}
}

func TestProtocolPageRequest(t *testing.T) {
	first, headers, _ := strings.Cut(strings.ReplaceAll(protocolBlocks(t, "nats")[0], "\n", "\r\n"), "\r\n")
	headers = strings.TrimSuffix(headers, "<frame>\r\n")
	want := fmt.Sprintf("HPUB laneway.produce.orders.0 _INBOX.feed.0 %d %d", len(headers), len(headers)+len(protocolFrame(t)))
	if first != want {
		t.Errorf("the first line is %q, want %q", first, want)
	}
	read, err := nats.DecodeHeadersMsg([]byte(headers))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		HeaderContentType: ContentTypeBatch, HeaderProducerID: "4277435071735566111",
		HeaderProducerEpoch: "0", HeaderSequence: "0", HeaderFirstUnacked: "0",
	} {
		if read.Get(name) != value {
			t.Errorf("%s is %q, want %q", name, read.Get(name), value)
		}
	}
}

func TestProtocolPageJSON(t *testing.T) {
	shapes := []any{
		&ProducerInitResponse{}, &ProducerInitRequest{}, &ProducerInitResponse{}, &ProduceAck{},
		&ProducerListRequest{}, &ProducerListResponse{}, &ProducerInfoRequest{},
	}
	blocks := protocolBlocks(t, "json")
	if len(blocks) != len(shapes) {
		t.Fatalf("%d blocks of JSON, this test knows %d", len(blocks), len(shapes))
	}
	for i, block := range blocks {
		d := json.NewDecoder(strings.NewReader(block))
		d.DisallowUnknownFields()
		if err := d.Decode(shapes[i]); err != nil {
			t.Errorf("%T: %v in %s", shapes[i], err, block)
		}
	}
	again, err := json.Marshal(shapes[2])
	if err != nil || !bytes.Equal(again, []byte(strings.TrimSpace(blocks[2]))) {
		t.Errorf("the server writes %s (%v)", again, err)
	}
}

func TestProtocolPageHashes(t *testing.T) {
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([0-9]+) \\| ([0-9]) \\| ([0-9]) \\|$").FindAllStringSubmatch(string(page), -1)
	if len(rows) != 3 {
		t.Fatalf("%d keys", len(rows))
	}
	for _, row := range rows {
		h := fnv.New32a()
		h.Write([]byte(row[1]))
		if got := []string{fmt.Sprint(h.Sum32()), fmt.Sprint(h.Sum32() % 4), fmt.Sprint(h.Sum32() % 10)}; !cmp.Equal(got, row[2:]) {
			t.Errorf("%s: %v, the page says %v", row[1], got, row[2:])
		}
	}
}
