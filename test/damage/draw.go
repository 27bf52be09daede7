package damage

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"laneway.dev/pkg/messages"
)

// Kind is what is done to a file.
type Kind string

// The kinds.
const (
	Alter  Kind = "alter"  // one byte gets another value
	Zero   Kind = "zero"   // a page of 4 KiB, or what there is of it, is zeroed
	Cut    Kind = "cut"    // the file ends at a position
	Delete Kind = "delete" // the file is gone
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Alter, Zero, Cut, Delete} }

// Draw is one damage to one file.
type Draw struct {
	Base     string // the folder that is copied: stopped or killed, or stopped-1 or killed-1 with one log
	Category string // of the file
	File     string // path below the folder, with slashes
	Kind     Kind
	Position int64 // first byte concerned; nothing for Delete
	Mask     byte  // what the byte at Position is combined with by exclusive or, for Alter
}

// String returns the draw as CASE of make damage takes it.
func (d Draw) String() string {
	file := d.File
	if inside, ok := strings.CutPrefix(file, jetStream); ok {
		file = "streams/" + inside
	}
	return fmt.Sprintf("%s:%s:%s:%d:%d", d.Base, file, d.Kind, d.Position, d.Mask)
}

// jetStream is the folder of the streams. In a CASE it is shorter, and has no dollar
// sign, of which make would make something else.
const jetStream = "nats/jetstream/$G/streams/"

// Parse reads what String returns.
func Parse(text string) (Draw, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 5 {
		return Draw{}, fmt.Errorf("%q is not base:file:kind:position:mask", text)
	}
	d := Draw{Base: parts[0], File: parts[1], Kind: Kind(parts[2])}
	if inside, ok := strings.CutPrefix(d.File, "streams/"); ok {
		d.File = jetStream + inside
	}
	d.Category = Category(d.File)
	_, err := fmt.Sscan(parts[3]+" "+parts[4], &d.Position, &d.Mask)
	if err == nil && !slices.Contains(Kinds(), d.Kind) {
		err = fmt.Errorf("there is no kind %q", d.Kind)
	}
	return d, err
}

// Category says what a file is for.
func Category(file string) string {
	if strings.HasPrefix(file, "objects/o/") || strings.HasPrefix(file, "objects/objects/") {
		return "object"
	}
	_, inside, isStream := strings.Cut(file, "/streams/")
	if !isStream {
		return path.Base(file)
	}
	stream, rest, _ := strings.Cut(inside, "/")
	what := path.Base(rest)
	if path.Ext(what) == ".blk" {
		what = "*.blk"
	}
	switch {
	case hasLogs(stream):
		return "log: " + what
	case strings.HasPrefix(stream, messages.MarksStreamPrefix):
		return "marks: " + what
	case stream == "LANEWAY_SNAPSHOTS":
		return "snapshots: " + what
	}
	return strings.ToLower(strings.TrimPrefix(stream, "KV_LANEWAY_")) + ": " + what
}

// hasLogs reports whether a stream has the logs of partitions.
func hasLogs(stream string) bool { return strings.HasPrefix(stream, messages.JournalStreamPrefix) }

// LogStream returns the stream with logs that a file belongs to; empty if it belongs to none.
func LogStream(file string) string {
	_, inside, _ := strings.Cut(file, "/streams/")
	stream, _, _ := strings.Cut(inside, "/")
	if !hasLogs(stream) {
		return ""
	}
	return stream
}

// Files returns all files below a folder by their categories, sorted.
func Files(folder string) (map[string][]string, error) {
	found := make(map[string][]string)
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		file, err := filepath.Rel(folder, name)
		file = filepath.ToSlash(file)
		found[Category(file)] = append(found[Category(file)], file)
		return err
	})
	return found, err
}

// bases are the folders by their names.
type bases map[string]string

// draw returns the n-th damage of a campaign. Each round of draws visits the categories of
// files in order. The kind of damage advances with each draw, and starts one further in each
// round, so every category meets every kind after as many rounds as there are kinds. The
// other choices come from the seed.
func (b bases) draw(seed uint64, n int) (Draw, error) {
	random := rand.New(rand.NewPCG(seed, uint64(n)))
	names := slices.Sorted(maps.Keys(b))
	d := Draw{Base: names[random.IntN(len(names))]}
	files, err := Files(b[d.Base])
	if err != nil {
		return Draw{}, err
	}
	categories := make([]string, 0, len(files))
	for category := range files {
		categories = append(categories, category)
		if category == "log: *.blk" || category == "object" {
			categories = append(categories, category, category) // where the records are
		}
	}
	slices.Sort(categories)
	// The seed turns the wheel, so that short campaigns of other seeds meet others.
	turn := n + int(seed%uint64(len(categories)*len(Kinds())))
	round, place := turn/len(categories), turn%len(categories)
	d.Category = categories[place]
	d.Kind = Kinds()[(round+place)%len(Kinds())]
	d.File = files[d.Category][random.IntN(len(files[d.Category]))]
	info, err := os.Stat(filepath.Join(b[d.Base], filepath.FromSlash(d.File)))
	if err != nil {
		return Draw{}, err
	}
	if info.Size() > 0 && d.Kind != Delete {
		d.Position = random.Int64N(info.Size())
	}
	if d.Kind == Alter {
		d.Mask = byte(1 + random.IntN(255))
	}
	return d, nil
}

// pageSize is that of Zero.
const pageSize = 4096

// Apply damages a file below a folder.
func (d Draw) Apply(folder string) error {
	name := filepath.Join(folder, filepath.FromSlash(d.File))
	if d.Kind == Delete {
		return os.Remove(name)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if len(content) == 0 {
		return nil // there is nothing to damage
	}
	if d.Position < 0 || d.Position >= int64(len(content)) {
		return fmt.Errorf("%s has %d bytes, none at %d", d.File, len(content), d.Position)
	}
	switch d.Kind {
	case Alter:
		content[d.Position] ^= d.Mask
	case Zero:
		start := d.Position / pageSize * pageSize
		clear(content[start:min(start+pageSize, int64(len(content)))])
	case Cut:
		content = content[:d.Position]
	}
	return errors.Join(os.WriteFile(name, content, 0o600))
}
