package bench

import (
	_ "embed"
	"errors"
	"html/template"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"laneway.dev/cmd/laneway/cli"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// WriteHTML writes the report as a page that loads nothing from elsewhere.
func (r *Report) WriteHTML(out io.Writer) error {
	data := map[string]any{
		"Report": r, "Summary": r.summary(), "Values": r.plotValues(), "Tables": r.tables(),
		"Value": r.value(), "Reading": r.reading(),
	}
	if len(r.Ratios) > 0 {
		data["Ratios"] = r.plotRatios()
	}
	return pageTemplate.Execute(out, data)
}

// Measures of a plot, in units of its view box.
const (
	plotWidth = 940
	plotLeft  = 290 // where the values begin, right of the names
	plotRight = 890 // half of a label goes beyond it
	plotRow   = 30
	plotBar   = 16
	plotGap   = 16 // between names and values, wider than half of a dot
	plotFoot  = 32 // for the labels of the axis
)

// plot is what the template needs to draw a row for each contender beside an axis. All
// numbers are in units of the view box.
type plot struct {
	Width, Height, Bottom, Left, LabelX int
	TickY                               int     // of the text at the axis
	Zero                                float64 // of the line that everything is compared with
	Rows                                []plotRowData
	Ticks                               []tick
}

type plotRowData struct {
	Name, Class        string
	Top, Middle, TextY int
	Thick              int
	Bar                float64 // length; 0 is none
	From, To           float64 // of a line; 0 is none
	Dots               []float64
}

type tick struct {
	X    float64
	Text string
}

func newPlot(rows int) plot {
	return plot{
		Width: plotWidth, Height: rows*plotRow + plotFoot, Bottom: rows*plotRow + 6, TickY: rows*plotRow + 22,
		Left: plotLeft, LabelX: plotLeft - plotGap, Zero: plotLeft,
	}
}

func (p *plot) add(c *Contender, row plotRowData) {
	row.Name, row.Class, row.Thick = c.Name, "other", plotBar
	if c.System == Laneway {
		row.Class = "own"
	}
	row.Top = len(p.Rows)*plotRow + (plotRow-plotBar)/2
	row.Middle, row.TextY = row.Top+plotBar/2, row.Top+plotBar/2+4
	p.Rows = append(p.Rows, row)
}

// plotValues shows medians as bars and rounds as dots, on an axis from 0.
func (r *Report) plotValues() plot {
	p := newPlot(len(r.Contenders))
	most := 0.0
	for i := range r.Contenders {
		most = max(most, r.Contenders[i].Max)
	}
	step := niceStep(most)
	end := math.Ceil(most/step) * step
	at := func(v float64) float64 { return plotLeft + v/end*(plotRight-plotLeft) }
	for v := 0.0; v <= end; v += step {
		p.Ticks = append(p.Ticks, tick{at(v), figure(v)})
	}
	for i := range r.Contenders {
		c := &r.Contenders[i]
		row := plotRowData{Bar: at(c.Median) - plotLeft}
		for _, v := range c.values() {
			row.Dots = append(row.Dots, at(v))
		}
		p.add(c, row)
	}
	return p
}

// niceStep returns a round number that divides an axis from 0 to most into about five
// steps.
func niceStep(most float64) float64 {
	if most <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most/5)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= most/5 {
			return factor * power
		}
	}
	return 10 * power
}

// plotRatios shows ratios with their spread on a logarithmic axis around 1.
func (r *Report) plotRatios() plot {
	p := newPlot(len(r.Ratios))
	low, high := 0.5, 2.0
	for _, ratio := range r.Ratios {
		low, high = min(low, ratio.Min/1.1), max(high, ratio.Max*1.1)
	}
	at := func(v float64) float64 {
		return plotLeft + (math.Log(v)-math.Log(low))/(math.Log(high)-math.Log(low))*(plotRight-plotLeft)
	}
	marks := []float64{0.001, 0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000, 10000}
	for _, v := range slices.DeleteFunc(marks, func(v float64) bool { return v < low || v > high }) {
		p.Ticks = append(p.Ticks, tick{at(v), times(v)})
	}
	p.Zero = at(1)
	for i, ratio := range r.Ratios {
		p.add(&r.Contenders[i+1], plotRowData{From: at(ratio.Min), To: at(ratio.Max), Dots: []float64{at(ratio.Ratio)}})
	}
	return p
}

// pageFile is the file of --html. It replaces an older file only when it is complete. It is
// created before the measurement, so that a folder that cannot be written is reported
// before the work and not after it.
type pageFile struct {
	path string
	file *os.File // nil without --html, and once the file is complete
}

func newPageFile(path string) (*pageFile, error) {
	if path == "" {
		return &pageFile{}, nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, cli.Misuse("--html %s: it is a folder; name a file", path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return nil, cli.Misuse("--html %s: %w", path, reason(err))
	}
	return &pageFile{path, file}, nil
}

func (p *pageFile) write(report *Report) error {
	if p.file == nil {
		return nil
	}
	if err := errors.Join(report.WriteHTML(p.file), p.file.Chmod(0o644)); err != nil {
		return err
	}
	file := p.file
	p.file = nil
	return errors.Join(file.Close(), os.Rename(file.Name(), p.path))
}

// close removes the file if it is not complete.
func (p *pageFile) close() error {
	if p.file == nil {
		return nil
	}
	return errors.Join(p.file.Close(), os.Remove(p.file.Name()))
}
