package admin

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

// fault is why a request is not done.
type fault struct {
	status   int
	sentence string
	problems []string // of a configuration, one each
}

func (f *fault) Error() string { return f.sentence }

func badRequest(format string, args ...any) *fault {
	return &fault{http.StatusBadRequest, fmt.Sprintf(format, args...), nil}
}

func notFound(format string, args ...any) *fault {
	return &fault{http.StatusNotFound, fmt.Sprintf(format, args...), nil}
}

// fail answers with an error. What is no fault of the request's is this proxy's.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	var f *fault
	if !errors.As(err, &f) {
		f = &fault{http.StatusInternalServerError, err.Error(), nil}
	}
	body := struct {
		Error    string   `json:"error"`
		Problems []string `json:"problems,omitempty"`
	}{f.sentence, f.problems}
	writeStatus(w, r, f.status, body)
}

// write answers with a value as JSON.
func write(w http.ResponseWriter, r *http.Request, v any) error {
	writeStatus(w, r, http.StatusOK, v)
	return nil
}

func writeStatus(w http.ResponseWriter, r *http.Request, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil { // not reached: all values are of types that JSON has
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written"}`)
	}
	startJSON(w)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(append(accesslog.AppendEscaped(nil, text), '\n'))
	}
}

func startJSON(w http.ResponseWriter) { w.Header().Set("Content-Type", "application/json") }

// appendString appends a text as JSON has it.
func appendString(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil { // a string always has a spelling
		return append(b, `""`...)
	}
	return accesslog.AppendEscaped(b, text)
}

// checkQuery refuses parameters that an endpoint does not know, and such that are
// given twice, so that a slip of the pen in a filter does not kill more than was
// meant.
func checkQuery(r *http.Request, known []string) *fault {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badRequest("the query cannot be read: %v", err)
	}
	for name, list := range values {
		switch {
		case !slices.Contains(known, name) && len(known) == 0:
			return badRequest("%s takes no parameters, and %q is one", r.URL.Path, name)
		case !slices.Contains(known, name):
			return badRequest("there is no parameter %q here, but %s", name, strings.Join(known, ", "))
		case len(list) > 1:
			return badRequest("the parameter %q is given %d times", name, len(list))
		case list[0] == "":
			return badRequest("the parameter %q is empty; leave it out instead", name)
		}
	}
	return nil
}
