package strict

import (
	"fmt"
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
