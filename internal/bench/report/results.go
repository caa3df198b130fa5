package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Results are all that was measured, by row. Rows may be of different days.
type Results struct {
	Subjects []string `json:"subjects"` // in the order of the table; the first is ours
	Rows     []Row    `json:"rows"`
}

// Row is one kind of work.
type Row struct {
	Name  string `json:"name"`  // for the command line
	Title string `json:"title"` // as in the table
	// Setting is what was measured, when, and on what.
	Setting Setting  `json:"setting"`
	Lines   []Line   `json:"lines"`
	Notes   []string `json:"notes,omitempty"`
}

// Setting names machine and versions.
type Setting struct {
	Date     string            `json:"date"`
	Machine  string            `json:"machine"`
	Versions map[string]string `json:"versions"`
	Rounds   int               `json:"rounds"`
}

// Line is one figure of a row, for each of the subjects that have it.
type Line struct {
	Work    string               `json:"work"`
	Unit    string               `json:"unit"`
	Figures map[string][]float64 `json:"figures"`          // by subject, one for each round
	Absent  map[string]string    `json:"absent,omitempty"` // why a subject has none
	Goals   []Goal               `json:"goals,omitempty"`
}

// Goal is a figure of ours divided by something, and what that is to be.
type Goal struct {
	Against string    `json:"against"`
	Ratios  []float64 `json:"ratios"`  // one for each round
	AtMost  float64   `json:"at_most"` // 0: nothing is to be reached
	// Below: AtMost itself is too much.
	Below bool `json:"below,omitempty"`
}

// Reached tells whether the median of the ratios is good enough.
func (g Goal) Reached() bool {
	m := Median(g.Ratios)
	return m < g.AtMost || m == g.AtMost && !g.Below
}

// Add notes a figure of the next round.
func (l *Line) Add(subject string, v float64) {
	if l.Figures == nil {
		l.Figures = make(map[string][]float64)
	}
	l.Figures[subject] = append(l.Figures[subject], v)
}

// Lack notes why a subject has no figure.
func (l *Line) Lack(subject, why string) {
	if l.Absent == nil {
		l.Absent = make(map[string]string)
	}
	l.Absent[subject] = why
}

// Against adds a goal: the figures of us divided by those of other. With atMost
// 0 it only tells the ratio.
func (l *Line) Against(us, other string, atMost float64) {
	if len(l.Figures[other]) > 0 {
		l.Goals = append(l.Goals, Goal{Against: other, Ratios: Ratios(l.Figures[us], l.Figures[other]), AtMost: atMost})
	}
}

// AgainstLowest adds a goal against the one of others with the lowest median.
func (l *Line) AgainstLowest(us string, others []string, atMost float64, below bool) {
	lowest := ""
	for _, o := range others {
		if len(l.Figures[o]) > 0 && (lowest == "" || Median(l.Figures[o]) < Median(l.Figures[lowest])) {
			lowest = o
		}
	}
	if lowest == "" {
		return
	}
	l.Against(us, lowest, atMost)
	g := &l.Goals[len(l.Goals)-1]
	g.Against, g.Below = lowest+", the lowest", below
}

// AgainstFixed adds a goal: the figures of us divided by a number.
func (l *Line) AgainstFixed(us string, number float64, name string) {
	g := Goal{Against: name, AtMost: 1}
	for _, v := range l.Figures[us] {
		g.Ratios = append(g.Ratios, v/number)
	}
	l.Goals = append(l.Goals, g)
}

// Put replaces the row of the same name, or adds it, keeping rows in the order
// of names.
func (r *Results) Put(row Row, order []string) {
	r.Rows = slices.DeleteFunc(r.Rows, func(o Row) bool { return o.Name == row.Name })
	r.Rows = append(r.Rows, row)
	slices.SortStableFunc(r.Rows, func(a, b Row) int {
		return slices.Index(order, a.Name) - slices.Index(order, b.Name)
	})
}

// Line finds a line by its row's name and its work; nil: there is none.
func (r *Results) Line(row, work string) *Line {
	for i := range r.Rows {
		for j := range r.Rows[i].Lines {
			if l := &r.Rows[i].Lines[j]; r.Rows[i].Name == row && l.Work == work {
				return l
			}
		}
	}
	return nil
}

// Say puts the median of a subject's figures into a format such as "takes %.0f µs".
func (r *Results) Say(row, work, subject, format string) (string, error) {
	l := r.Line(row, work)
	if l == nil || len(l.Figures[subject]) == 0 {
		return "", fmt.Errorf("there is no figure of %s for %s", subject, work)
	}
	return fmt.Sprintf(format, Median(l.Figures[subject])), nil
}

// Load reads what Save wrote. A file that does not exist has no rows.
func Load(path string) (*Results, error) {
	r := new(Results)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Save writes the results as JSON.
func (r *Results) Save(path string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
