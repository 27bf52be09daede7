// Package generation has the rules of generations and watermarks. Nothing but them decides what
// may be deleted from the object store; no clock does.
//
// A generation is a number that rises every few minutes. Each object is named after the
// generation that its writer knew. The watermark of a log says that the log will refer to no older
// object any more.
package generation

import "strings"

// First is the generation of a new cluster. Its watermark is 1, because 0 is that of a log that
// has none yet.
const First = Lag + 1

// Lag is the difference between the present generation and the highest watermark for it. A writer
// may learn of a new generation late, and its object is put and its batches are appended later
// still: they have a generation and more for that.
const Lag = 2

// Watermark returns the highest watermark of a log for the present generation.
func Watermark(generation uint64) uint64 {
	if generation <= Lag {
		return 0
	}
	return generation - Lag
}

// Above returns a generation that is above everything that has been used, if used is the highest
// generation of any object and watermark the highest watermark of any log.
func Above(used, watermark uint64) uint64 {
	if used == 0 && watermark == 0 {
		return First
	}
	return max(used, watermark+Lag) + 1
}

// Digits is the number of hexadecimal digits of a generation in a key.
const Digits = 16

// OfKey returns the generation that the key of an object names; 0 if it names none. It does not
// check the rest of the key.
func OfKey(key string) uint64 {
	for _, kind := range []string{"o/", "s/", "m/"} {
		if rest, ok := strings.CutPrefix(key, kind); ok {
			return Parse(rest)
		}
	}
	return 0
}

// Parse returns the generation in the first digits of a text; 0 if there is none.
func Parse(text string) uint64 {
	if len(text) < Digits {
		return 0
	}
	generation := uint64(0)
	for i := range Digits {
		switch c := text[i]; {
		case '0' <= c && c <= '9':
			generation = generation<<4 | uint64(c-'0')
		case 'a' <= c && c <= 'f':
			generation = generation<<4 | uint64(c-'a'+10)
		default:
			return 0
		}
	}
	return generation
}
