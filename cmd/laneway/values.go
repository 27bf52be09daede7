package main

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"
)

// size is a number of bytes, given as 4194304, 4MiB or 4MB.
type size int64

// Decode implements kong.MapperValue.
func (s *size) Decode(ctx *kong.DecodeContext) error {
	token, err := ctx.Scan.PopValue("size")
	if err != nil {
		return err
	}
	bytes, err := humanize.ParseBytes(text(token.Value))
	if err != nil || bytes > math.MaxInt64 {
		return fmt.Errorf("%q is not a size: it looks like 4MiB or 4194304", token)
	}
	*s = size(bytes)
	return nil
}

// period is a time that is not negative, given as 250ms or 2m.
type period time.Duration

// Decode implements kong.MapperValue.
func (p *period) Decode(ctx *kong.DecodeContext) error {
	token, err := ctx.Scan.PopValue("duration")
	if err != nil {
		return err
	}
	duration, err := time.ParseDuration(text(token.Value))
	if err == nil && duration < 0 {
		err = errors.New("negative")
	}
	if err != nil {
		return fmt.Errorf("%q is not a duration: it looks like 250ms or 2m", token)
	}
	*p = period(duration)
	return nil
}

// text returns a token as it would be written on the command line; numbers of
// a JSON file arrive as float64.
func text(value any) string {
	if v := reflect.ValueOf(value); v.Kind() == reflect.Float64 {
		return fmt.Sprintf("%.0f", v.Float())
	}
	return fmt.Sprint(value)
}
