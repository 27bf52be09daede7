package main

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/protocol"
)

// number is a whole number from 1 on.
type number uint32

// Decode implements kong.MapperValue.
func (n *number) Decode(ctx *kong.DecodeContext) error {
	given, err := pop(ctx, "number")
	if err != nil {
		return err
	}
	parsed, err := strconv.ParseUint(given, 10, 31)
	if err != nil || parsed == 0 {
		return fmt.Errorf("%q is not allowed: it is a whole number from 1 to %d", given, math.MaxInt32)
	}
	*n = number(parsed)
	return nil
}

// size is a number of bytes from 1 on, given as 4194304, 4MiB or 4MB.
type size int64

// Decode implements kong.MapperValue.
func (s *size) Decode(ctx *kong.DecodeContext) error {
	given, err := pop(ctx, "size")
	if err != nil {
		return err
	}
	bytes, err := humanize.ParseBytes(given)
	if err != nil || bytes > math.MaxInt64 {
		return fmt.Errorf("%q is not a size: it looks like 4MiB or 4194304", given)
	}
	if bytes == 0 {
		return fmt.Errorf("%q is not allowed: it is a size of at least 1 byte", given)
	}
	*s = size(bytes)
	return nil
}

// period is a time longer than 0, given as 250ms or 2m.
type period time.Duration

// Decode implements kong.MapperValue.
func (p *period) Decode(ctx *kong.DecodeContext) error {
	if err := (*delay)(p).Decode(ctx); err != nil {
		return err
	}
	if *p == 0 {
		return errors.New("0 is not allowed: it is a duration longer than 0, such as 250ms or 2m")
	}
	return nil
}

// delay is a time that is not negative, given as 0s, 250ms or 2m.
type delay time.Duration

// Decode implements kong.MapperValue.
func (d *delay) Decode(ctx *kong.DecodeContext) error {
	given, err := pop(ctx, "duration")
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
	*d = delay(duration)
	return nil
}

// storeLocation names an object store. One that is not supported is refused
// before anything is started.
type storeLocation string

// Decode implements kong.MapperValue.
func (l *storeLocation) Decode(ctx *kong.DecodeContext) error {
	given, err := pop(ctx, "location")
	if err != nil {
		return err
	}
	if given != "" { // an empty one is none given
		if _, err := objectstore.URL(given); err != nil {
			return err
		}
	}
	*l = storeLocation(given)
	return nil
}

// producerName is a name that a producer may have; empty is none given. Kong would
// pass it through JSON, which puts other characters for what is not UTF-8.
type producerName string

// Decode implements kong.MapperValue.
func (n *producerName) Decode(ctx *kong.DecodeContext) error {
	given, err := pop(ctx, "name")
	if err != nil {
		return err
	}
	if given == "" {
		return errors.New("it is empty: give the producer a name, or leave it out")
	}
	if err := protocol.CheckProducerName(given); err != nil {
		return errors.New(protocol.AsError(err).Detail)
	}
	*n = producerName(given)
	return nil
}

// pop takes the value of a flag. A negative number is a value too, of which
// kong would say that it looks like a flag.
func pop(ctx *kong.DecodeContext, what string) (string, error) {
	if next := ctx.Scan.Peek().String(); len(next) > 1 && next[0] == '-' && '0' <= next[1] && next[1] <= '9' {
		return text(ctx.Scan.Pop().Value), nil
	}
	token, err := ctx.Scan.PopValue(what)
	return text(token.Value), err
}

// text returns a token as it would be written on the command line; numbers of
// a JSON file arrive as float64.
func text(value any) string {
	if v := reflect.ValueOf(value); v.Kind() == reflect.Float64 {
		return fmt.Sprintf("%.0f", v.Float())
	}
	return fmt.Sprint(value)
}
