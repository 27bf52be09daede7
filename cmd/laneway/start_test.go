package main

import (
	"testing"
	"time"
)

func TestStartIsAWordAnOffsetOrATime(t *testing.T) {
	for _, word := range []string{"earliest", "latest"} {
		if s, err := parseStart(word); err != nil || s.from != word || s.offset != nil || s.time != nil {
			t.Errorf("%s: %+v, %v", word, s, err)
		}
	}
	if s, err := parseStart("42"); err != nil || s.offset == nil || *s.offset != 42 || s.from != "" || s.time != nil {
		t.Errorf("offset: %+v, %v", s, err)
	}
	want := time.Date(2026, 11, 23, 10, 0, 0, 5e8, time.UTC)
	if s, err := parseStart("2026-11-23T11:00:00.5+01:00"); err != nil || s.time == nil || !s.time.Equal(want) || s.from != "" {
		t.Errorf("time: %+v, %v", s, err)
	}
	for _, wrong := range []string{"", "-1", "first", "2026-11-23", "1e3", "99999999999999999999"} {
		if _, err := parseStart(wrong); exitCode(err) != exitUsage {
			t.Errorf("%q: error %v", wrong, err)
		}
	}
}
