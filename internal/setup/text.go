package setup

import (
	"fmt"
	"io"
	"strings"
)

// Write prints what to put where, for a person who does it.
func (c Client) Write(w io.Writer, o Options) {
	fmt.Fprintf(w, "# %s: %s\n", c.Name, c.Purpose)
	if o.SOCKS() {
		fmt.Fprintf(w, "# SOCKS5: %s\n", c.SOCKS)
	}
	if len(c.Places) > 1 {
		fmt.Fprintln(w, "# One of these, the one that your host has:")
	}
	for _, p := range c.Places {
		p.write(w, o, len(c.Places) > 1)
	}
	if c.Verify.Command != "" {
		when := c.Verify.When
		if when != "" {
			when = " " + when
		}
		fmt.Fprintf(w, "\n# See whether it took them%s; %s should show:\n    %s\n", when, c.Verify.wants(o), c.Verify.Command)
	}
	if len(c.Notes) > 0 {
		fmt.Fprintln(w, "\n# Good to know:")
	}
	for _, note := range c.Notes {
		fmt.Fprintf(w, "# - %s\n", note)
	}
}

func (p Place) write(w io.Writer, o Options, named bool) {
	if named {
		fmt.Fprintf(w, "\n## %s: %s\n", p.Name, p.Where)
	}
	for _, f := range p.Files {
		verb := "has to say, beside what it says already"
		if f.Format == Own || f.Format == New {
			verb = "is to be"
		}
		fmt.Fprintf(w, "\n# %s %s (%s):\n", f.Path, verb, f.Format)
		for line := range strings.Lines(f.Content(o)) {
			fmt.Fprint(w, "    ", line)
		}
	}
	if p.Typed != nil {
		fmt.Fprintf(w, "    %s\n", strings.Join(p.Typed(o), "\n    "))
	}
	if len(p.Reload) > 0 {
		fmt.Fprintln(w, "\n# Then:")
	}
	for _, command := range p.Reload {
		fmt.Fprintf(w, "    %s\n", strings.ReplaceAll(command, "$root", ""))
	}
	if p.Disturbs != "" {
		fmt.Fprintf(w, "# (%s)\n", p.Disturbs)
	}
}

// Text is what Write prints.
func (c Client) Text(o Options) string {
	var b strings.Builder
	c.Write(&b, o)
	return b.String()
}

func (v Check) wants(o Options) string {
	if v.Wants == nil {
		return o.Address()
	}
	return v.Wants(o)
}
