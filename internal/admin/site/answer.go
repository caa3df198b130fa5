package site

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sluice/internal/accesslog"
)

// Fault is why a request is not done.
type Fault struct {
	Status   int
	Sentence string
	Problems []string // of a configuration, one each
}

func (f *Fault) Error() string { return f.Sentence }

// NewFault returns a fault that is told with this status.
func NewFault(status int, sentence string) *Fault { return &Fault{Status: status, Sentence: sentence} }

// BadRequest is a fault of the request's own.
func BadRequest(format string, args ...any) *Fault {
	return &Fault{http.StatusBadRequest, fmt.Sprintf(format, args...), nil}
}

// NotFound is a fault of what is asked for and does not exist.
func NotFound(format string, args ...any) *Fault {
	return &Fault{http.StatusNotFound, fmt.Sprintf(format, args...), nil}
}

// Fail answers with an error. One that is no Fault is a fault of the program's own.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	var f *Fault
	if !errors.As(err, &f) {
		f = &Fault{http.StatusInternalServerError, err.Error(), nil}
	}
	body := struct {
		Error    string   `json:"error"`
		Problems []string `json:"problems,omitempty"`
	}{f.Sentence, f.Problems}
	writeStatus(w, r, f.Status, body)
}

// Write answers with a value as JSON.
func Write(w http.ResponseWriter, r *http.Request, v any) error {
	writeStatus(w, r, http.StatusOK, v)
	return nil
}

func writeStatus(w http.ResponseWriter, r *http.Request, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil { // not reached: all values are of types that JSON has
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written"}`)
	}
	StartJSON(w)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(append(accesslog.AppendEscaped(nil, text), '\n'))
	}
}

// WriteJSON answers with text that is JSON already.
func WriteJSON(w http.ResponseWriter, text []byte) {
	StartJSON(w)
	w.Write(append(Escaped(text), '\n'))
}

// Escaped returns JSON text in which all that does not print is escaped: what a client
// has sent may be shown by a terminal.
func Escaped(text []byte) []byte { return accesslog.AppendEscaped(nil, text) }

// StartJSON says that an answer is JSON, for those that are not written at once.
func StartJSON(w http.ResponseWriter) { w.Header().Set("Content-Type", "application/json") }

// Plain answers with text.
func Plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	w.Write([]byte(text))
}

// AppendString appends a text as JSON has it.
func AppendString(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil { // a string always has a spelling
		return append(b, `""`...)
	}
	return accesslog.AppendEscaped(b, text)
}

// checkQuery refuses parameters that an endpoint does not know, and such that are
// given twice, so that a slip of the pen in a filter does not do more than was
// meant.
func checkQuery(r *http.Request, known []string) *Fault {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return BadRequest("the query cannot be read: %v", err)
	}
	for name, list := range values {
		switch {
		case !slices.Contains(known, name) && len(known) == 0:
			return BadRequest("%s takes no parameters, and %q is one", r.URL.Path, name)
		case !slices.Contains(known, name):
			return BadRequest("there is no parameter %q here, but %s", name, strings.Join(known, ", "))
		case len(list) > 1:
			return BadRequest("the parameter %q is given %d times", name, len(list))
		case list[0] == "":
			return BadRequest("the parameter %q is empty; leave it out instead", name)
		}
	}
	return nil
}
