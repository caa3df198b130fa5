package admin

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"sluice/internal/accesslog"
	"sluice/internal/config"
	"sluice/internal/explain"
)

// list is what "/" shows where there is no page.
func (h *Handler) list(w http.ResponseWriter, _ *http.Request) error {
	var b strings.Builder
	for _, rt := range h.routes() {
		method, path, _ := strings.Cut(rt.pattern, " ")
		b.WriteString(method + " " + strings.TrimSuffix(path, "{$}") + "\t" + rt.does + "\n")
	}
	plain(w, http.StatusOK, b.String())
	return nil
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	w.Write([]byte(text))
}

func (h *Handler) healthy(w http.ResponseWriter, _ *http.Request) error {
	plain(w, http.StatusOK, "ok\n")
	return nil
}

func (h *Handler) ready(w http.ResponseWriter, _ *http.Request) error {
	if h.o.Gate.Draining() {
		plain(w, http.StatusServiceUnavailable, "draining\n")
		return nil
	}
	plain(w, http.StatusOK, "ok\n")
	return nil
}

func (h *Handler) noMetrics(http.ResponseWriter, *http.Request) error {
	return notFound("there are no metrics")
}

type step struct {
	Rule     string `json:"rule"`
	Action   string `json:"action"`
	Matched  bool   `json:"matched"`
	Why      string `json:"why"`
	Observed bool   `json:"observed,omitempty"`
}

func (h *Handler) explain(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	for _, name := range []string{"client", "to"} {
		if !q.Has(name) {
			return badRequest("%s is missing: /explain?client=192.0.2.7&to=example.com:443", name)
		}
	}
	req, err := explain.Question(q.Get("client"), q.Get("to"), q.Get("user"))
	if err != nil {
		return badRequest("%v", err)
	}
	a := h.o.Explain(req)
	answer := struct {
		Allowed   bool   `json:"allowed"`
		Observed  bool   `json:"observed,omitempty"`
		NeedsUser bool   `json:"needs_user,omitempty"`
		Rule      string `json:"rule"`
		Sentence  string `json:"sentence"`
		Steps     []step `json:"steps"`
	}{a.Allowed, a.Observed, a.NeedsUser, a.Rule, a.Sentence, []step{}}
	for _, s := range a.Steps {
		answer.Steps = append(answer.Steps, step{s.Rule, s.Action.String(), s.Matched, s.Why, s.Observed})
	}
	return write(w, r, answer)
}

func (h *Handler) reload(w http.ResponseWriter, r *http.Request) error {
	switch {
	case h.o.Reload == nil:
		return &fault{http.StatusNotImplemented, "this proxy cannot be reloaded this way", nil}
	case h.o.Gate.Draining():
		return errDraining()
	}
	// It takes as long as it takes: a file of millions of names, or another reload.
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Time{})
	warnings, err := h.o.Reload(r.Context())
	_ = c.SetWriteDeadline(time.Now().Add(answerTime))
	if err == nil {
		if warnings == nil {
			warnings = []string{}
		}
		return write(w, r, struct {
			Reloaded bool     `json:"reloaded"`
			Warnings []string `json:"warnings"`
		}{true, warnings})
	}
	if h.o.Gate.Draining() {
		return errDraining()
	}
	f := &fault{http.StatusUnprocessableEntity, err.Error(), nil}
	var list config.Errors
	if errors.As(err, &list) {
		f.sentence = "the configuration is not valid, and nothing was changed"
		for _, e := range list {
			f.problems = append(f.problems, e.Error())
		}
	}
	return f
}

func errDraining() *fault {
	return &fault{http.StatusConflict, "this proxy is shutting down, and reads no configuration any more", nil}
}

// config tells what is in force, and beside it where it comes from.
func (h *Handler) config(w http.ResponseWriter, _ *http.Request) error {
	cfg, loaded := h.o.Config()
	b := appendString([]byte(`{"path":`), cfg.Path)
	b = append(accesslog.AppendTime(append(b, `,"loaded":"`...), loaded), `","listening":[`...)
	for i, a := range h.o.Listening() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, a)
	}
	b = append(b, "],"...)
	keys := cfg.AppendJSON(nil)
	startJSON(w)
	w.Write(append(accesslog.AppendEscaped(b, keys[1:]), '\n'))
	return nil
}
