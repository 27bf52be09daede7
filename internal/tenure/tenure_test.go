package tenure

import (
	"testing"

	"go.uber.org/zap"
)

// fake is a tenure that notes what happens to it.
type fake struct {
	epoch   uint64
	ended   *int
	stays   bool // Lingers
	refuses bool // Keep
	ready   Readiness
}

func (f *fake) Raise(epoch uint64) { f.epoch = epoch }
func (f *fake) Prepare() Readiness { return f.ready }
func (f *fake) Keep() bool         { return !f.refuses }
func (f *fake) Lingers() bool      { return f.stays }
func (f *fake) End(bool)           { *f.ended++ }

// newPlace returns a place, with the number of tenures that have begun and ended.
func newPlace() (p *Place[*fake], begun, ended *int) {
	begun, ended = new(int), new(int)
	return &Place[*fake]{log: zap.NewNop(), begin: func(_ int, epoch uint64) (*fake, error) {
		*begun++
		return &fake{epoch: epoch, ended: ended}, nil
	}}, begun, ended
}

// own makes a place own its log, and checks which epoch it asks for instead.
func own(t *testing.T, p *Place[*fake], epoch, want uint64) {
	t.Helper()
	if above, err := p.own(0, epoch); above != want || err != nil {
		t.Fatalf("epoch %d: above %d, error %v, want above %d", epoch, above, err, want)
	}
}

func TestAnEpochIsForOneTenure(t *testing.T) {
	p, begun, ended := newPlace()
	own(t, p, 7, 0)
	own(t, p, 7, 0) // the same tenure
	p.close()
	own(t, p, 7, 7)
	own(t, p, 6, 7)
	if *begun != 1 || *ended != 1 || p.Epoch() != 0 {
		t.Errorf("%d tenures have begun, %d have ended, and the epoch is %d", *begun, *ended, p.Epoch())
	}
	own(t, p, 8, 0)
	if *begun != 2 || p.Epoch() != 8 {
		t.Errorf("%d tenures have begun, and the epoch is %d", *begun, p.Epoch())
	}
}

func TestATenureContinuesInAHigherEpoch(t *testing.T) {
	p, begun, _ := newPlace()
	own(t, p, 7, 0)
	own(t, p, 9, 0)
	if *begun != 1 || p.tenure.epoch != 9 || p.Epoch() != 9 {
		t.Errorf("%d tenures have begun, and the epochs are %d and %d", *begun, p.tenure.epoch, p.Epoch())
	}
}

func TestATenureThatCannotGoOnIsFollowedByAnother(t *testing.T) {
	p, begun, ended := newPlace()
	own(t, p, 7, 0)
	p.tenure.refuses = true
	own(t, p, 7, 7)
	own(t, p, 8, 0)
	if *begun != 2 || *ended != 1 {
		t.Errorf("%d tenures have begun, %d have ended", *begun, *ended)
	}
}

func TestATenureLingersUntilTheNextOwnerHasItsResults(t *testing.T) {
	p, _, ended := newPlace()
	own(t, p, 7, 0)
	p.tenure.stays = true
	if p.disown(); *ended != 0 || !p.lingers() {
		t.Errorf("%d tenures have ended", *ended)
	}
	p.tenure.stays = false
	if p.disown(); *ended != 1 || p.lingers() {
		t.Errorf("%d tenures have ended", *ended)
	}
}
