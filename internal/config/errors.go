package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing that is wrong and what to write instead.
type Error struct {
	File         string // or the flag, as "--allow"
	Line, Column int    // from 1; the column counts characters; 0: not in one place
	Problem      string
	Fix          string // may be empty
	cause        error  // of the operating system
}

// Error returns "file:line:column: problem; fix" with the parts that there are.
func (e *Error) Error() string {
	return place(e.File, e.Line, e.Column) + join(e.Problem, e.Fix)
}

// Unwrap returns the operating system's error when the file could not be read.
func (e *Error) Unwrap() error { return e.cause }

// Errors are all that is wrong: with the flags first, then in the order of the
// file.
type Errors []*Error

// Error returns one line for each error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors one by one.
func (e Errors) Unwrap() []error {
	list := make([]error, len(e))
	for i, one := range e {
		list[i] = one
	}
	return list
}

// Warning is something that is valid but hardly meant. Its fields are those of
// Error.
type Warning struct {
	File         string
	Line, Column int
	Problem      string
	Fix          string
}

// String returns the warning in the form of Error.Error.
func (w Warning) String() string {
	return place(w.File, w.Line, w.Column) + join(w.Problem, w.Fix)
}

func place(file string, line, column int) string {
	switch {
	case line > 0:
		return fmt.Sprintf("%s:%d:%d: ", file, line, column)
	case file != "":
		return file + ": "
	}
	return ""
}

func join(problem, fix string) string {
	if fix == "" {
		return problem
	}
	return problem + "; " + fix
}

// fault is what is wrong with a value, before it is known where the value stands.
type fault struct{ problem, fix string }

// Error returns problem and fix.
func (f *fault) Error() string { return join(f.problem, f.fix) }

func faultf(fix, problem string, args ...any) *fault {
	return &fault{fmt.Sprintf(problem, args...), fix}
}

// asFault splits the sentence of another package's error, which may end in what
// to write instead.
func asFault(err error) *fault {
	problem, fix, ok := strings.Cut(err.Error(), ": write ")
	if ok {
		fix = "write " + fix
	}
	return &fault{problem, fix}
}

// where is a part of the configuration: a flag, or what a path of keys (string)
// and indexes (int) leads to in the file. The zero value is the file as a whole.
type where struct {
	flag  string
	path  []any
	atKey bool // the key is meant, not its value
}

func onFlag(name string) where { return where{flag: name} }

func inFile(path ...any) where { return where{path: path} }

// sub is a part of w. A part of a flag is the flag.
func (w where) sub(path ...any) where {
	if w.flag != "" {
		return w
	}
	return where{path: slices.Concat(w.path, path)}
}

func (w where) key(name string) where {
	w = w.sub(name)
	w.atKey = true
	return w
}

// maxFindings bounds what one run reports: the rest of a list of a million bad
// lines tells nothing new.
const maxFindings = 100

// findings collects errors, or warnings, to look up their positions later, all
// at once and only if there are any.
type findings struct {
	list []finding
	more int // those that were dropped
}

type finding struct {
	at where
	*fault
}

func (fs *findings) add(at where, f *fault) {
	if len(fs.list) == maxFindings {
		fs.more++
		return
	}
	fs.list = append(fs.list, finding{at, f})
}

func (fs *findings) addf(at where, fix, problem string, args ...any) {
	fs.add(at, faultf(fix, problem, args...))
}

// has tells whether something was found wrong at a part of the file or within.
func (fs *findings) has(at where) bool {
	return at.flag == "" && slices.ContainsFunc(fs.list, func(f finding) bool {
		return len(f.at.path) >= len(at.path) && slices.Equal(f.at.path[:len(at.path)], at.path)
	})
}

// locate turns findings into errors in order.
func (fs *findings) locate(file, text string) Errors {
	if len(fs.list) == 0 {
		return nil
	}
	offsets := offsetsOf(text, fs.list)
	positions := positionsOf(text, offsets)
	list := make(Errors, len(fs.list))
	for i, f := range fs.list {
		e := &Error{File: file, Problem: f.problem, Fix: f.fix}
		if f.at.flag != "" {
			e.File = f.at.flag
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

func cmpBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
