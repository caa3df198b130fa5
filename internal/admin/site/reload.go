package site

import (
	"context"
	"errors"
	"net/http"
	"time"

	"sluice/internal/config"
)

// Reload returns an endpoint that reads a configuration anew. The reload puts it in
// force or changes nothing; nil: it cannot be done this way. Stopping tells whether
// the program is about to end; name is what the program is, in sentences.
func Reload(name string, reload func(context.Context) (warnings []string, err error), stopping func() bool) func(http.ResponseWriter, *http.Request) error {
	draining := &Fault{http.StatusConflict, "this " + name + " is shutting down, and reads no configuration any more", nil}
	return func(w http.ResponseWriter, r *http.Request) error {
		switch {
		case reload == nil:
			return &Fault{http.StatusNotImplemented, "this " + name + " cannot be reloaded this way", nil}
		case stopping():
			return draining
		}
		// It takes as long as it takes: a file of millions of names, or another reload.
		c := http.NewResponseController(w)
		_ = c.SetWriteDeadline(time.Time{})
		warnings, err := reload(r.Context())
		_ = c.SetWriteDeadline(time.Now().Add(AnswerTime))
		switch {
		case err == nil:
			return Write(w, r, struct {
				Reloaded bool     `json:"reloaded"`
				Warnings []string `json:"warnings"`
			}{true, append([]string{}, warnings...)})
		case stopping():
			return draining
		}
		return notReloaded(err)
	}
}

func notReloaded(err error) *Fault {
	f := &Fault{http.StatusUnprocessableEntity, err.Error(), nil}
	var list config.Errors
	if errors.As(err, &list) {
		f.Sentence = "the configuration is not valid, and nothing was changed"
		for _, e := range list {
			f.Problems = append(f.Problems, e.Error())
		}
	}
	return f
}
