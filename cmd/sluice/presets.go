package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"sluice/internal/presets"
)

func showPresets(c *call) int {
	fs := c.flags()
	if code, done := c.parse(fs, 1); done {
		return code
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	if fs.NArg() == 0 {
		for _, p := range presets.All() {
			fmt.Fprintf(w, "@%s\t%s\t%s\t%s\n", p.Name, count(len(p.Hosts), "host"), p.Date, p.Purpose)
		}
		return exitOK
	}
	name := strings.TrimPrefix(fs.Arg(0), "@")
	p, ok := presets.Lookup(name)
	if !ok {
		return c.fault(fmt.Errorf("there is no preset %q; there are %s", name, strings.Join(presets.Names(), ", ")))
	}
	fmt.Fprintf(w, "# @%s: %s\n# as of %s, source %s\n", p.Name, p.Purpose, p.Date, p.Source)
	for _, h := range p.Hosts {
		fmt.Fprintf(w, "%s\t%s\n", h.Name, h.Purpose)
	}
	return exitOK
}
