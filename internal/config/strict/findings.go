package strict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is what is wrong with a value, before it is known where the value stands.
type Fault struct {
	Problem string
	Fix     string // what to write instead; may be empty
}

// Error returns "problem; fix".
func (f *Fault) Error() string { return join(f.Problem, f.Fix) }

// Faultf returns a fault whose problem is formatted.
func Faultf(fix, problem string, args ...any) *Fault {
	return &Fault{fmt.Sprintf(problem, args...), fix}
}

// AsFault splits the sentence of another package's error, which may end in what
// to write instead.
func AsFault(err error) *Fault {
	problem, fix, ok := strings.Cut(err.Error(), ": write ")
	if ok {
		fix = "write " + fix
	}
	return &Fault{problem, fix}
}

// Where is a part of the configuration: a flag, or what a path of keys (string)
// and indexes (int) leads to in the file. The zero value is the file as a whole.
type Where struct {
	Flag  string // as "--allow"; "": a part of the file
	Path  []any
	atKey bool // the key is meant, not its value
}

// OnFlag is a flag of the command line.
func OnFlag(name string) Where { return Where{Flag: name} }

// InFile is what a path of keys and indexes leads to.
func InFile(path ...any) Where { return Where{Path: path} }

// Sub is a part of w. A part of a flag is the flag.
func (w Where) Sub(path ...any) Where {
	if w.Flag != "" {
		return w
	}
	return Where{Path: slices.Concat(w.Path, path)}
}

// Key is the name of a part of w, and not its value.
func (w Where) Key(name string) Where {
	w = w.Sub(name)
	w.atKey = true
	return w
}

// maxFindings bounds what one run reports: the rest of a list of a million bad
// lines tells nothing new.
const maxFindings = 100

// Findings collects errors, or warnings, to look up their positions later, all
// at once and only if there are any.
type Findings struct {
	list []finding
	more int // those that were dropped
}

type finding struct {
	at Where
	*Fault
}

// Add takes a fault that was found at a place.
func (fs *Findings) Add(at Where, f *Fault) {
	if len(fs.list) == maxFindings {
		fs.more++
		return
	}
	fs.list = append(fs.list, finding{at, f})
}

// Addf is Add with a formatted problem.
func (fs *Findings) Addf(at Where, fix, problem string, args ...any) {
	fs.Add(at, Faultf(fix, problem, args...))
}

// Empty tells whether nothing was found.
func (fs *Findings) Empty() bool { return len(fs.list) == 0 }

// Has tells whether something was found wrong at a part of the file or within.
func (fs *Findings) Has(at Where) bool {
	return at.Flag == "" && slices.ContainsFunc(fs.list, func(f finding) bool {
		return len(f.at.Path) >= len(at.Path) && slices.Equal(f.at.Path[:len(at.Path)], at.Path)
	})
}

// Locate turns findings into errors in order. file is what the messages call the
// text.
func (fs *Findings) Locate(file, text string) Errors {
	if len(fs.list) == 0 {
		return nil
	}
	text = withoutMark(text)
	offsets := offsetsOf(text, fs.list)
	positions := positionsOf(text, offsets)
	list := make(Errors, len(fs.list))
	for i, f := range fs.list {
		e := &Error{File: file, Problem: f.Problem, Fix: f.Fix}
		if f.at.Flag != "" {
			e.File = f.at.Flag
		} else if p, ok := positions[offsets[i]]; ok {
			e.Line, e.Column = p.line, p.column
		}
		list[i] = e
	}
	slices.SortStableFunc(list, func(a, b *Error) int {
		return cmp.Or(cmpBool(a.File == file, b.File == file),
			cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if fs.more > 0 {
		list = append(list, &Error{File: file, Problem: fmt.Sprintf("%d more are not shown", fs.more)})
	}
	return list
}

// Warnings is Locate for what is valid.
func (fs *Findings) Warnings(file, text string) []Warning {
	var list []Warning
	for _, w := range fs.Locate(file, text) {
		list = append(list, Warning{w.File, w.Line, w.Column, w.Problem, w.Fix})
	}
	return list
}

func cmpBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
