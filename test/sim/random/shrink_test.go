package random

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestConfigIsReadAsItIsWritten(t *testing.T) {
	for seed := range uint64(len(Mixes)) {
		want := Seeded(seed)
		want.Without = []int{1, 4}
		got, err := ParseConfig(want.String())
		want.Mix.Name = ""
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || got.String() != want.String() {
			t.Errorf("%+v is read as %+v, %v", want, got, err)
		}
		if Run(got, nil).Counts != Run(want, nil).Counts {
			t.Errorf("%s does not repeat its run", want)
		}
	}
	for _, wrong := range []string{"seed=x", "sede=1", "lose=much", "without=1+x"} {
		if _, err := ParseConfig(wrong); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}

func TestShrinkKeepsWhatMatters(t *testing.T) {
	run := func(c Config) error {
		switch {
		case c.Clients >= 3 && c.Batches >= 7 && c.Mix.Crash > 0 && c.ActiveTime >= 2*time.Second && !c.without(2) && c.Seed%3 == 0:
			return fmt.Errorf("I1: ticket %d of lane i:%d is wrong", c.Seed, c.Clients)
		case c.Clients < 3:
			return errors.New("something else is wrong")
		}
		return nil
	}
	s := shrink(Seeded(21*uint64(len(Mixes))), run)
	c := s.Config
	if c.Clients != 3 || c.Batches != 7 || c.ActiveTime != 2*time.Second || len(c.Without) != mostDisturbances-1 {
		t.Errorf("it is shrunk to %s", c)
	}
	if c.Mix != (Mix{Name: "all", Crash: c.Mix.Crash}) || c.Mix.Crash == 0 {
		t.Errorf("the mix is shrunk to %+v", c.Mix)
	}
	if again := run(c); again == nil || again.Error() != s.Violation.Error() {
		t.Errorf("the shrunk run says %v, and then %v", s.Violation, again)
	}
}

func TestPanicIsAViolationThatIsShrunk(t *testing.T) {
	config := Seeded(1)
	config.Mix = Mix{Crash: -1} // disturbances of which none can be drawn
	violation := Check(config, &Trace{})
	if violation == nil || kindOf(violation) != kindOf(Check(config, nil)) {
		t.Errorf("a run that panics says %v", violation)
	}
	inCore := func(c Config) error { // where the stack is depends on the run
		return fmt.Errorf("panic: index out of range [%d]\ngoroutine %d", c.Clients, c.Batches)
	}
	if s := shrink(Seeded(0), inCore); s.Config.Clients != 1 || strings.Contains(s.String(), "goroutine") {
		t.Errorf("a panic is shrunk to %s", s)
	}
}

func TestRunWithTooFewFaultsIsAViolationAndIsNotShrunk(t *testing.T) {
	config := Seeded(1)
	config.Mix = Mix{}
	if s := Shrink(config); !errors.Is(s.Violation, errVacuous) || s.Config.String() != config.String() {
		t.Errorf("a run without faults is shrunk to %s", s)
	}
}

func TestCommandRepeatsARun(t *testing.T) {
	config := Seeded(7)
	if got := config.Command(); got != "make sim SEED=7 TRACE=1" {
		t.Error(got)
	}
	config.Clients = 2
	if got := config.Command(); got != "make sim CONFIG='"+config.String()+"' TRACE=1" {
		t.Error(got)
	}
}

func TestViolationIsShrunkToOnePartition(t *testing.T) {
	run := func(c Config) error {
		if c.Partitions > 1 {
			return errors.New("partition 1: I1: something is wrong")
		}
		return errors.New("I1: something is wrong")
	}
	config := Seeded(0)
	config.Partitions, config.Logs, config.Late, config.Busy, config.Parcels = 3, 2, true, true, true
	if c := shrink(config, run).Config; c.Partitions != 1 || c.Logs != 1 || c.Late || c.Busy || c.Parcels {
		t.Errorf("it is shrunk to %s", c)
	}
}
