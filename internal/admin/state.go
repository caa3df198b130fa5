package admin

import (
	"net/http"

	"sluice/internal/accesslog"
	"sluice/internal/admin/site"
	"sluice/internal/explain"
)

func (h *Handler) healthy(w http.ResponseWriter, _ *http.Request) error {
	site.Plain(w, http.StatusOK, "ok\n")
	return nil
}

func (h *Handler) ready(w http.ResponseWriter, _ *http.Request) error {
	if h.o.Gate.Draining() {
		site.Plain(w, http.StatusServiceUnavailable, "draining\n")
		return nil
	}
	site.Plain(w, http.StatusOK, "ok\n")
	return nil
}

func (h *Handler) noMetrics(http.ResponseWriter, *http.Request) error {
	return site.NotFound("there are no metrics")
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
			return site.BadRequest("%s is missing: /explain?client=192.0.2.7&to=example.com:443", name)
		}
	}
	req, err := explain.Question(q.Get("client"), q.Get("to"), q.Get("user"))
	if err != nil {
		return site.BadRequest("%v", err)
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
	return site.Write(w, r, answer)
}

// config tells what is in force, and beside it where it comes from.
func (h *Handler) config(w http.ResponseWriter, _ *http.Request) error {
	cfg, loaded := h.o.Config()
	b := site.AppendString([]byte(`{"path":`), cfg.Path)
	b = append(accesslog.AppendTime(append(b, `,"loaded":"`...), loaded), `","listening":[`...)
	for i, a := range h.o.Listening() {
		if i > 0 {
			b = append(b, ',')
		}
		b = site.AppendString(b, a)
	}
	b = append(b, "],"...)
	keys := cfg.AppendJSON(nil)
	site.StartJSON(w)
	w.Write(append(accesslog.AppendEscaped(b, keys[1:]), '\n'))
	return nil
}
