package cli

import (
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"

	"laneway.dev/internal/objectstore/location"
	"laneway.dev/pkg/protocol"
)

// AllPartitions is the value of --partition that stands for every partition of a
// topic. Commands have it as the default.
const AllPartitions = -1

// Number is a whole number from 1 to 2^31-1.
type Number uint32

// Decode implements kong.MapperValue.
func (n *Number) Decode(ctx *kong.DecodeContext) error {
	given, err := PopValue(ctx, "number")
	if err != nil {
		return err
	}
	parsed, err := strconv.ParseUint(given, 10, 31)
	if err != nil || parsed == 0 {
		return fmt.Errorf("%q is not allowed: it is a whole number from 1 to %d", given, math.MaxInt32)
	}
	*n = Number(parsed)
	return nil
}

// Size is a positive number of bytes, given as 4194304, 4MiB or 4MB.
type Size int64

// Decode implements kong.MapperValue.
func (s *Size) Decode(ctx *kong.DecodeContext) error {
	if err := (*Amount)(s).Decode(ctx); err != nil {
		return err
	}
	if *s == 0 {
		return errors.New("0 is not allowed: it is a size of at least 1 byte")
	}
	return nil
}

// Amount is a number of bytes that may be 0, given as 0, 4194304, 4MiB or 4MB.
type Amount int64

// Decode implements kong.MapperValue.
func (a *Amount) Decode(ctx *kong.DecodeContext) error {
	given, err := PopValue(ctx, "size")
	if err != nil {
		return err
	}
	bytes, err := humanize.ParseBytes(given)
	if err != nil || bytes > math.MaxInt64 {
		return fmt.Errorf("%q is not a size below 8EiB, such as 4MiB or 4194304", given)
	}
	*a = Amount(bytes)
	return nil
}

// Period is a positive duration, given as 250ms or 2m.
type Period time.Duration

// Decode implements kong.MapperValue.
func (p *Period) Decode(ctx *kong.DecodeContext) error {
	if err := (*Delay)(p).Decode(ctx); err != nil {
		return err
	}
	if *p == 0 {
		return errors.New("0 is not allowed: it is a duration longer than 0, such as 250ms or 2m")
	}
	return nil
}

// Delay is a duration that may be 0, given as 0s, 250ms or 2m.
type Delay time.Duration

// Decode implements kong.MapperValue.
func (d *Delay) Decode(ctx *kong.DecodeContext) error {
	given, err := PopValue(ctx, "duration")
	if err != nil {
		return err
	}
	duration, err := time.ParseDuration(given)
	if err == nil && duration < 0 {
		err = errors.New("negative")
	}
	if err != nil {
		return fmt.Errorf("%q is not a duration: it looks like 250ms or 2m", given)
	}
	*d = Delay(duration)
	return nil
}

// StoreLocation is the location of an object store, a URL or a path; empty if none
// is given. A location that is not supported is rejected while flags are parsed,
// before anything is started.
type StoreLocation string

// Decode implements kong.MapperValue.
func (l *StoreLocation) Decode(ctx *kong.DecodeContext) error {
	given, err := PopValue(ctx, "location")
	if err != nil {
		return err
	}
	if given != "" {
		if _, err := location.URL(given); err != nil {
			return err
		}
	}
	*l = StoreLocation(given)
	return nil
}

// Place returns where the store is, for messages about a store that is not the
// expected one. It has no secrets. Of a folder it names the host, because the same
// path on two hosts need not be the same folder.
func (l StoreLocation) Place() (string, error) {
	url, err := location.URL(string(l))
	if err != nil || l.Remote() {
		return url, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	return url + " on " + host, nil
}

// Scheme returns the scheme of the store's URL, which is "file" for a path.
func (l StoreLocation) Scheme() string {
	if !l.Remote() {
		return "file"
	}
	scheme, _, _ := strings.Cut(string(l), "://")
	return scheme
}

// Remote reports whether requests to the store cross a network.
func (l StoreLocation) Remote() bool { return !location.IsLocal(string(l)) }

// PopValue returns the next value of a flag as text. Kong takes a negative number
// for another flag and reports the value as missing, so a negative number is taken
// here, for the type of the flag to reject.
func PopValue(ctx *kong.DecodeContext, what string) (string, error) {
	if next := ctx.Scan.Peek().String(); len(next) > 1 && next[0] == '-' && '0' <= next[1] && next[1] <= '9' {
		return text(ctx.Scan.Pop().Value), nil
	}
	token, err := ctx.Scan.PopValue(what)
	return text(token.Value), err
}

// text returns a token as it would be written on the command line. Numbers of the
// configuration file arrive as float64.
func text(value any) string {
	if v := reflect.ValueOf(value); v.Kind() == reflect.Float64 {
		return fmt.Sprintf("%.0f", v.Float())
	}
	return fmt.Sprint(value)
}

// Age is how old something may become, given in days or as a duration: 30d, 12h or 90m. 0 stands for
// any age.
type Age time.Duration

const (
	day     = 24 * time.Hour
	maxDays = uint64(protocol.MaxRetentionAge / day)
)

// Decode implements kong.MapperValue.
func (a *Age) Decode(ctx *kong.DecodeContext) error {
	given, err := PopValue(ctx, "age")
	if err != nil {
		return err
	}
	var duration time.Duration
	if days, is := strings.CutSuffix(given, "d"); is {
		var n uint64
		if n, err = strconv.ParseUint(days, 10, 64); err == nil && n > uint64(math.MaxInt64/day) {
			err = strconv.ErrRange
		}
		duration = time.Duration(n) * day
	} else {
		duration, err = time.ParseDuration(given)
	}
	if err != nil || duration < 0 {
		return fmt.Errorf("%q is not an age: it is 0, a whole number of days such as 30d, or a duration such as 12h or 1h30m, of at most %dd; days are not combined with other units",
			given, maxDays)
	}
	*a = Age(duration)
	return nil
}

// String returns the age as it may be given.
func (a Age) String() string {
	switch d := time.Duration(a); {
	case d == 0:
		return "0"
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	default:
		return Short(d)
	}
}

// Short returns a duration without trailing units that are 0: "24h" and not "24h0m0s".
func Short(d time.Duration) string {
	text := d.String()
	if trimmed, ok := strings.CutSuffix(text, "m0s"); ok {
		text = trimmed + "m"
	}
	if trimmed, ok := strings.CutSuffix(text, "h0m"); ok {
		text = trimmed + "h"
	}
	return text
}
