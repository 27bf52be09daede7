package fault

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Streams of random numbers, one per kind of draw.
const (
	delayStream uint64 = iota + 1
	failStream
)

// settings knows how to read each setting into Faults.
var settings = map[string]func(faults *Faults, value string, seed int64) error{
	"stage.delay":     setDelay,
	"stage.fail":      setFail,
	"store.bandwidth": setBandwidth,
}

// Parse reads settings of the form name=value, as in the package comment. No
// settings give nil, which injects nothing.
func Parse(specs []string, seed int64) (*Faults, error) {
	if len(specs) == 0 {
		return nil, nil
	}
	faults := &Faults{}
	given := make(map[string]bool, len(specs))
	for _, spec := range specs {
		name, value, _ := strings.Cut(spec, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		set, known := settings[name]
		if !known {
			return nil, fmt.Errorf("fault %q: unknown name %q; known are %s", spec, name,
				strings.Join(slices.Sorted(maps.Keys(settings)), ", "))
		}
		if given[name] {
			return nil, fmt.Errorf("fault %q: %s is given twice", spec, name)
		}
		given[name] = true
		if err := set(faults, value, seed); err != nil {
			return nil, fmt.Errorf("fault %q: %w", spec, err)
		}
	}
	return faults, nil
}

func setDelay(faults *Faults, value string, seed int64) error {
	low, high, err := parseDelay(value)
	if err != nil {
		return err
	}
	faults.delay = delay{low: low, high: high, source: newSource(seed, delayStream)}
	return nil
}

// parseDelay reads a fixed delay or uniform(low,high).
func parseDelay(value string) (low, high time.Duration, err error) {
	lowText, highText := value, value
	if arguments, isUniform := strings.CutPrefix(value, "uniform("); isUniform {
		var hasComma, isClosed bool
		arguments, isClosed = strings.CutSuffix(arguments, ")")
		lowText, highText, hasComma = strings.Cut(arguments, ",")
		if !isClosed || !hasComma {
			return 0, 0, errors.New("a random delay looks like uniform(0,200ms)")
		}
	}
	if low, err = time.ParseDuration(strings.TrimSpace(lowText)); err != nil {
		return 0, 0, fmt.Errorf("a delay looks like 50ms or uniform(0,200ms): %w", err)
	}
	if high, err = time.ParseDuration(strings.TrimSpace(highText)); err != nil {
		return 0, 0, fmt.Errorf("a delay looks like 50ms or uniform(0,200ms): %w", err)
	}
	if low < 0 || high < low {
		return 0, 0, fmt.Errorf("a delay from %v to %v cannot be", low, high)
	}
	return low, high, nil
}

func setFail(faults *Faults, value string, seed int64) error {
	chance, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(chance) || chance < 0 || chance > 1 {
		return errors.New("a probability is a number from 0 to 1, like 0.01")
	}
	faults.fail = probability{chance: chance, source: newSource(seed, failStream)}
	return nil
}

func setBandwidth(faults *Faults, value string, _ int64) error {
	amount, perSecond := strings.CutSuffix(value, "/s")
	rate, err := humanize.ParseBytes(strings.TrimSpace(amount))
	if err != nil || !perSecond || rate == 0 {
		return errors.New("a bandwidth is a size per second, like 20MB/s or 512KiB/s")
	}
	faults.bandwidth.rate = float64(rate)
	return nil
}
