package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"

	"sluice/internal/cli"
	"sluice/internal/presets"
	"sluice/internal/presets/probe"
	"sluice/internal/setup"
)

// maxPresets is how many may be named, each once or more.
const maxPresets = 1 << 10

func showPresets(c *cli.Call) int {
	fs := c.Flags()
	var o probe.Options
	check := fs.Bool("check", false, "ask the hosts of these presets, or of all, whether they are still there")
	asJSON := fs.Bool("json", false, "print what the check found as JSON")
	proxy := fs.String("proxy", "", "check through the proxy at `URL`, such as http://relay:3128 or socks5://relay:1080")
	fs.DurationVar(&o.Timeout, "timeout", 0, "how long a check waits for each host (default 10s)")
	if code, done := c.Parse(fs, maxPresets); done {
		return code
	}
	if !*check && (*asJSON || *proxy != "" || o.Timeout != 0) {
		fmt.Fprintf(c.Stderr, "sluice presets: --json, --proxy and --timeout are for --check\n")
		return cli.ExitUsage
	}
	if *proxy != "" {
		var err error
		if o.Proxy, err = setup.ParseProxy(*proxy); err != nil {
			fmt.Fprintf(c.Stderr, "sluice presets: %v\n", err)
			return cli.ExitUsage
		}
	}
	list, err := named(fs.Args())
	switch {
	case err != nil:
		return c.Fault(err)
	case *check:
		return checkPresets(c, list, o, *asJSON)
	case fs.NArg() > 0:
		return showHosts(c, list)
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	for _, p := range list {
		fmt.Fprintf(w, "@%s\t%s\t%s\t%s\n", p.Name, count(len(p.Hosts), "host"), p.Date, p.Purpose)
	}
	return cli.ExitOK
}

// named returns the presets of these names, with or without "@"; all where none is
// named.
func named(args []string) ([]presets.Preset, error) {
	if len(args) == 0 {
		return presets.All(), nil
	}
	var list []presets.Preset
	for _, arg := range args {
		name := strings.TrimPrefix(arg, "@")
		p, ok := presets.Lookup(name)
		if !ok {
			return nil, fmt.Errorf("there is no preset %q; there are %s", name, strings.Join(presets.Names(), ", "))
		}
		if !slices.ContainsFunc(list, func(q presets.Preset) bool { return q.Name == p.Name }) {
			list = append(list, p)
		}
	}
	return list, nil
}

func showHosts(c *cli.Call, list []presets.Preset) int {
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	for _, p := range list {
		fmt.Fprintf(w, "# @%s: %s\n# as of %s, source %s\n", p.Name, p.Purpose, p.Date, p.Source)
		for _, h := range p.Hosts {
			fmt.Fprintf(w, "%s\t%s\n", h.Name, h.Purpose)
		}
	}
	return cli.ExitOK
}

func checkPresets(c *cli.Call, list []presets.Preset, o probe.Options, asJSON bool) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report := probe.Check(ctx, list, o)
	if err := ctx.Err(); err != nil {
		return c.Fault(fmt.Errorf("the check was ended: %w", err))
	}
	write := report.Write
	if asJSON {
		e := json.NewEncoder(c.Stdout)
		e.SetEscapeHTML(false)
		write = func(io.Writer) error { return e.Encode(report) }
	}
	if err := write(c.Stdout); err != nil {
		return c.Fault(err)
	}
	if !report.Summary.Fine() {
		return cli.ExitFault
	}
	return cli.ExitOK
}
