package exhaustive

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"laneway.dev/internal/core/turns"
	"laneway.dev/pkg/delivery"
	frontend "laneway.dev/services/frontend/core"
	replicator "laneway.dev/services/replicator/core"
	partitioncore "laneway.dev/services/replicator/core/partition"
	"laneway.dev/services/replicator/core/producers"
	sequencer "laneway.dev/services/sequencer/core"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/world"
)

// fingerprint names a state of a world.
type fingerprint [16]byte

// ignored lists the fields that do not affect the future of a world. All other fields take
// part, so that two states never look equal because a field was added. The tests fail if a
// listed field does not exist.
//
//   - fx, turn: the effects of a step. They are under way after it, and the next step starts with
//     none.
//   - stats: counters only.
//   - reserve: marks are written at once, so that there is always room.
//   - archive: it counts entries, and decides nothing as long as archiving is off.
//   - spare: empty flights, or memory for events, kept for their memory.
//   - last: only a short cut to a member.
//   - logs: they only show when a check is due.
//   - givenUp: counters only.
//   - limits, counts, scheduler, trace, scope, memo, settings of a window: they are the same
//     in all worlds.
//   - cloned: it only shows what must be copied.
//   - now: the next sighting sets it before anything reads it.
//   - listening: memory that each use overwrites.
var ignored = map[reflect.Type][]string{
	reflect.TypeFor[frontend.Core]():                {"fx", "stats"},
	reflect.TypeFor[frontend.Log]():                 {"fx"},
	reflect.TypeFor[frontendCores]():                {"last", "spare"},
	reflect.TypeFor[sequencer.Core]():               {"fx", "stats"},
	reflect.TypeFor[sequencer.Log]():                {"fx", "stats"},
	reflect.TypeFor[sequencerCores]():               {"last", "spare"},
	reflect.TypeFor[replicator.Core]():              {"fx", "stats", "reserve"},
	reflect.TypeFor[replicator.Log]():               {"turn"},
	reflect.TypeFor[replicatorCores]():              {"last", "spare"},
	reflect.TypeFor[partitioncore.Core]():           {"fx", "stats", "archive"},
	reflect.TypeFor[producers.Table]():              {"spare"},
	reflect.TypeFor[world.FrontendCore]():           {"givenUp"},
	reflect.TypeFor[world.ReplicatorCore]():         {"logs"},
	reflect.TypeFor[world.WindowSettings]():         {"Delivery", "Size"},
	reflect.TypeFor[delivery.Window[check.Batch]](): {"settings"},
	reflect.TypeFor[check.State]():                  {"limits", "counts", "now", "cloned"},
	reflect.TypeFor[world.World]():                  {"scheduler", "listening"},
	reflect.TypeFor[world.Stats]():                  {"Of", "Early", "Repeated", "GivenUp", "Meetings"},
	reflect.TypeFor[schedule]():                     {"trace", "scope", "memo"},
}

// The cores of a log.
type (
	frontendCores   = turns.Group[*frontend.Core, frontend.Event]
	sequencerCores  = turns.Group[*sequencer.Core, sequencer.Event]
	replicatorCores = turns.Group[*replicator.Core, replicator.Event]
)

// interned are the types of which equal values are one, which has a number.
var interned = []reflect.Type{
	reflect.TypeFor[state](), reflect.TypeFor[world.Message](), reflect.TypeFor[world.Node](),
	reflect.TypeFor[reply](), reflect.TypeFor[appending](), reflect.TypeFor[seen](),
}

// walker writes a value down with everything that can be reached from it, fields
// that are not exported too. Equal texts mean equal values.
type walker struct {
	text []byte
	seen map[uintptr]int // pointers, by the order in which they are met

	fields   map[reflect.Type][]int // of a type: those that take part
	archives bool
}

// newWalker returns a walker for worlds whose logs are archived or not.
func newWalker(archives bool) walker {
	return walker{seen: map[uintptr]int{}, fields: map[reflect.Type][]int{}, archives: archives}
}

// of returns the fingerprint of a value.
func (k *walker) of(v reflect.Value) fingerprint {
	k.text = k.text[:0]
	clear(k.seen)
	k.value(v)
	return sum(k.text)
}

func sum(text []byte) fingerprint {
	s := sha256.Sum256(text)
	return fingerprint(s[:16])
}

func (k *walker) number(n uint64) { k.text = binary.AppendUvarint(k.text, n) }

func (k *walker) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		k.number(map[bool]uint64{true: 1}[v.Bool()])
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		k.number(uint64(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		k.number(v.Uint())
	case reflect.String:
		k.number(uint64(v.Len()))
		k.text = append(k.text, v.String()...)
	case reflect.Slice:
		k.slice(v)
	case reflect.Array:
		for i := range v.Len() {
			k.value(v.Index(i))
		}
	case reflect.Map:
		k.dictionary(v)
	case reflect.Pointer:
		k.pointer(v)
	case reflect.Interface:
		if v.IsNil() {
			k.number(0)
			return
		}
		k.number(1)
		k.text = append(k.text, v.Elem().Type().String()...)
		k.value(v.Elem())
	case reflect.Struct:
		k.structure(v)
	default:
		panic(fmt.Sprintf("a state holds a %s, which has no text", v.Type()))
	}
}

func (k *walker) slice(v reflect.Value) {
	if v.IsNil() {
		k.number(0)
		return
	}
	k.number(uint64(v.Len()) + 1)
	for i := range v.Len() {
		k.value(v.Index(i))
	}
}

// pointer follows a pointer once. Where the pointer occurs again, its number is written,
// because it matters whether two values share an object.
func (k *walker) pointer(v reflect.Value) {
	if v.IsNil() {
		k.number(0)
		return
	}
	if slices.Contains(interned, v.Type().Elem()) {
		k.number(uint64(v.Elem().Field(0).Int()))
		return
	}
	if n, again := k.seen[v.Pointer()]; again {
		k.number(uint64(n) + 2)
		return
	}
	k.seen[v.Pointer()] = len(k.seen)
	k.number(1)
	k.value(v.Elem())
}

// dictionary writes a map in the order of the texts of its keys.
func (k *walker) dictionary(v reflect.Value) {
	if v.IsNil() {
		k.number(0)
		return
	}
	k.number(uint64(v.Len()) + 1)
	if v.Len() == 0 {
		return
	}
	type entry struct {
		key   string
		value reflect.Value
	}
	entries := make([]entry, 0, v.Len())
	for all := v.MapRange(); all.Next(); {
		from := len(k.text)
		k.value(all.Key())
		entries = append(entries, entry{string(k.text[from:]), all.Value()})
		k.text = k.text[:from]
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if a.key < b.key {
			return -1
		}
		return 1
	})
	for _, e := range entries {
		k.text = append(k.text, e.key...)
		k.value(e.value)
	}
}

var timeType = reflect.TypeFor[time.Time]()

func (k *walker) structure(v reflect.Value) {
	t := v.Type()
	if t == timeType {
		k.number(v.Field(0).Uint()) // nanoseconds, and a bit that no time here has
		k.number(uint64(v.Field(1).Int()))
		return
	}
	for _, i := range k.fieldsOf(t) {
		k.value(v.Field(i))
	}
}

// fieldsOf returns the fields of a type that take part.
func (k *walker) fieldsOf(t reflect.Type) []int {
	of, known := k.fields[t]
	if known {
		return of
	}
	out := ignored[t]
	if k.archives {
		out = slices.DeleteFunc(slices.Clone(out), func(name string) bool { return name == "archive" })
	}
	for i := range t.NumField() {
		if !slices.Contains(out, t.Field(i).Name) {
			of = append(of, i)
		}
	}
	if len(of)+len(out) != t.NumField() {
		panic(fmt.Sprintf("%s has not all of the fields %s", t, strings.Join(out, ", ")))
	}
	k.fields[t] = of
	return of
}
