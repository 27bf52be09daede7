package random

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

var drawTo = flag.String("svg", "", "draw the only run into this file")

// keep writes the picture of a run where -svg says.
func keep(t *testing.T, trace *Trace) {
	t.Helper()
	if *drawTo == "" {
		return
	}
	if err := os.WriteFile(*drawTo, trace.SVG(), 0o600); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("lanes and tickets over time: %s\n", *drawTo)
}

func TestPictureShowsEveryLaneAndTicket(t *testing.T) {
	trace := &Trace{}
	Run(Seeded(3), trace)
	picture := trace.SVG()
	d := xml.NewDecoder(bytes.NewReader(picture))
	rows := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, is := token.(xml.CharData); is && strings.HasPrefix(string(text), "lane ") {
			rows++
		}
	}
	if want := len(trace.events.order); rows != want || want < 200 {
		t.Errorf("%d tickets are drawn of %d", rows, want)
	}
	for lane := range map[string]bool{"p:plain-0": true, "i:2": true} {
		if !bytes.Contains(picture, []byte(">"+lane+"</text>")) {
			t.Errorf("lane %s is not drawn", lane)
		}
	}
}
