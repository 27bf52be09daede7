package protocol

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

func TestRejectsSubjects(t *testing.T) {
	var many []string
	for n := range MaxSubjects + 1 {
		many = append(many, fmt.Sprintf("a.%d", n))
	}
	for name, c := range map[string]struct {
		subjects []string
		code     Code
		says     string
	}{
		"empty":                    {[]string{""}, CodeInvalidSubject, `""`},
		"an empty token":           {[]string{"orders..new"}, CodeInvalidSubject, "orders..new"},
		"a dot at the start":       {[]string{".orders"}, CodeInvalidSubject, ".orders"},
		"a dot at the end":         {[]string{"orders."}, CodeInvalidSubject, "orders."},
		"a space":                  {[]string{"orders new"}, CodeInvalidSubject, "orders new"},
		"a tab":                    {[]string{"orders\tnew"}, CodeInvalidSubject, `orders\tnew`},
		"a line break":             {[]string{"orders\r\nPING"}, CodeInvalidSubject, `orders\r\nPING`},
		"a zero byte":              {[]string{"orders\x00"}, CodeInvalidSubject, `orders\x00`},
		"no UTF-8":                 {[]string{"orders.\xff"}, CodeInvalidSubject, "orders"},
		"> in the middle":          {[]string{"orders.>.new"}, CodeInvalidSubject, "orders.>.new"},
		"> within a token":         {[]string{"orders.new>"}, CodeInvalidSubject, "orders.new>"},
		"* within a token":         {[]string{"orders.new*"}, CodeInvalidSubject, "orders.new*"},
		"a mapping's function":     {[]string{"orders.{{partition(4,1)}}"}, CodeInvalidSubject, "laneway topic mapping"},
		"a function with blanks":   {[]string{"orders.{{ partition(4,1) }}"}, CodeInvalidSubject, "orders."},
		"a mapping's wildcard":     {[]string{"orders.$1"}, CodeInvalidSubject, "laneway topic mapping"},
		"only a mapping":           {[]string{"{{wildcard(1)}}"}, CodeInvalidSubject, "laneway topic mapping"},
		"too long":                 {[]string{strings.Repeat("x", MaxSubjectLength+1)}, CodeInvalidSubject, "xxx"},
		"everything":               {[]string{">"}, CodeSubjectOverlap, "$JS.>"},
		"every subject of a token": {[]string{"*"}, CodeSubjectOverlap, "laneway.>"},
		"a wildcard first":         {[]string{"*.new"}, CodeSubjectOverlap, "_INBOX.>"},
		"ours":                     {[]string{"laneway.produce.other.0"}, CodeSubjectOverlap, "laneway.>"},
		"our internal ones":        {[]string{"_laneway.log.>"}, CodeSubjectOverlap, "_laneway.>"},
		"JetStream's":              {[]string{"$JS.API.>"}, CodeSubjectOverlap, "$JS.>"},
		"a bucket's":               {[]string{"$KV.orders.>"}, CodeSubjectOverlap, "$KV.>"},
		"the server's":             {[]string{"$SYS.>"}, CodeSubjectOverlap, "$SYS.>"},
		"inboxes":                  {[]string{"_INBOX.>"}, CodeSubjectOverlap, "_INBOX.>"},
		"replies across accounts":  {[]string{"_R_.>"}, CodeSubjectOverlap, "_R_.>"},
		"the same one twice":       {[]string{"orders.new", "orders.new"}, CodeSubjectOverlap, "orders.new of the same topic"},
		"two that overlap":         {[]string{"orders.*", "returns", "orders.>"}, CodeSubjectOverlap, "orders.> overlaps with orders.* of the same topic"},
		"one too many":             {many, CodeInvalidRequest, "17 subjects, allowed are 16"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := TopicConfig{Name: "orders", Subjects: c.subjects}.Complete()
			if !errors.Is(err, NewError(c.code, "")) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v, want %s with %q", err, c.code.Kind().Name, c.says)
			}
		})
	}
	_, err := TopicConfig{Name: "orders", Partitions: 2, Subjects: []string{"orders.>"}}.Complete()
	if !errors.Is(err, NewError(CodeInvalidRequest, "")) || !strings.Contains(err.Error(), "laneway topic mapping orders") {
		t.Errorf("subjects for two partitions: error %v, want one that names the way", err)
	}
}

func TestAcceptsSubjects(t *testing.T) {
	var most []string
	for n := range MaxSubjects {
		most = append(most, fmt.Sprintf("a.%d", n))
	}
	for _, subjects := range [][]string{
		most,
		{"orders"},
		{"orders.>"},
		{"orders", "orders.>"},
		{"orders.*.new"},
		{"orders.*", "orders.*.*"},
		{"bücher.>"},
		{"lanewayside"},
		{"a.laneway.>"},
		{"a.$JS._INBOX"},
		{"a.$1x", "a.x$1", "a.$"},
		{"a.{b}"},
		{strings.Repeat("x", MaxSubjectLength)},
	} {
		if _, err := (TopicConfig{Name: "orders", Subjects: subjects}).Complete(); err != nil {
			t.Errorf("%q: %v", subjects, err)
		}
	}
}

func TestFrameRejectsSubjectHeader(t *testing.T) {
	for _, name := range []string{HeaderSubject, strings.ToLower(HeaderSubject)} {
		frame := EncodeRecord(Record{Headers: []Header{{name, "orders.new"}}})
		if _, err := CheckFrame(frame, 1<<20); !errors.Is(err, NewError(CodeHeaderNotSupported, "")) || !strings.Contains(err.Error(), name) {
			t.Errorf("header %s: error %v, want HEADER_NOT_SUPPORTED", name, err)
		}
	}
}

// FuzzSubjects holds our notion of subjects against that of the NATS server.
func FuzzSubjects(f *testing.F) {
	few := []string{"a", "a.b", "a.*", "*.b", "a.>", "*.>", ">", "*", "a.*.c", "a.b.c", "a.b.>", "*.*", "a..b", "a.>.b", "a b", "a*"}
	for _, a := range few {
		for _, b := range few {
			f.Add(a, b)
		}
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, s := range []string{a, b} {
			if !validSubject(s) {
				return
			}
			if !server.IsValidSubject(s) {
				t.Fatalf("%q is valid here, and not for NATS", s)
			}
		}
		got, want := SubjectsOverlap(a, b), server.SubjectsCollide(a, b)
		if got != want || got != SubjectsOverlap(b, a) {
			t.Errorf("%q and %q overlap: %v, and turned round %v; NATS says %v", a, b, got, SubjectsOverlap(b, a), want)
		}
	})
}
