package probe

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Report is what a check found. Its JSON is what PRESETS.md describes.
type Report struct {
	Checked time.Time `json:"checked"`
	Proxy   string    `json:"proxy,omitempty"` // without its password
	Presets []Preset  `json:"presets"`
	Summary Summary   `json:"summary"`
}

// Preset is a preset with its hosts, in the file's order.
type Preset struct {
	Name   string `json:"name"`
	Date   string `json:"date"`
	Source string `json:"source"`
	Old    bool   `json:"old"` // the source was looked at more than a year ago
	Hosts  []Host `json:"hosts"`
}

// Host is what came of a host.
type Host struct {
	Name         string  `json:"host"`
	Verdict      Verdict `json:"verdict"`
	Sentence     string  `json:"sentence,omitempty"`
	Milliseconds int64   `json:"ms"`
}

// Summary counts hosts, each once however many presets have it, and presets.
type Summary struct {
	Answer    int `json:"answer"`
	Stale     int `json:"stale"`
	Unclear   int `json:"unclear"`
	NotProbed int `json:"not_probed"`
	Old       int `json:"old"` // presets
}

// Fine tells whether every host that was probed answers and no source is old.
func (s Summary) Fine() bool { return s.Stale == 0 && s.Unclear == 0 && s.Old == 0 }

func (r *Report) sum() {
	counted := make(map[string]bool)
	for _, p := range r.Presets {
		if p.Old {
			r.Summary.Old++
		}
		for _, h := range p.Hosts {
			if !counted[h.Name] {
				counted[h.Name] = true
				r.Summary.count(h.Verdict)
			}
		}
	}
}

func (s *Summary) count(v Verdict) {
	switch {
	case v.stale():
		s.Stale++
	case v == NotProbed:
		s.NotProbed++
	case v == Unclear:
		s.Unclear++
	default:
		s.Answer++
	}
}

// Write prints the report: a line for each preset, one below it for each host about
// which there is something to say, and the sum.
func (r *Report) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range r.Presets {
		var s Summary
		for _, h := range p.Hosts {
			s.count(h.Verdict)
		}
		age := ""
		if p.Old {
			age = ", which is more than a year ago: compare it with " + p.Source
		}
		fmt.Fprintf(t, "@%s: %d of %d answer; as of %s%s\n", p.Name, s.Answer, len(p.Hosts), p.Date, age)
		for _, h := range p.Hosts {
			if h.Verdict != OK {
				fmt.Fprintf(t, "  %s\t%s\t%s\n", h.Name, h.Verdict.words(), h.Sentence)
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, r.Summary.sentence())
	return err
}

// words are a verdict for a reader.
func (v Verdict) words() string {
	switch {
	case v.stale():
		return "stale?"
	case v == NotProbed:
		return "not probed"
	}
	return string(v)
}

func (s Summary) sentence() string {
	text := fmt.Sprintf("%s, %d stale by the look of it, %d unclear, %d not probed; %s with an old source\n",
		plural(s.Answer, "host answers", "hosts answer"), s.Stale, s.Unclear, s.NotProbed, plural(s.Old, "preset", "presets"))
	if s.Answer == 0 && s.Stale+s.Unclear > 1 {
		text += "Nothing answers, so this is about the network here, or the proxy, and not about the presets.\n"
	}
	return text
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
