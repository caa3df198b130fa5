package main

import (
	"fmt"
	"io"
	"os"

	"sluice/internal/cli"
	"sluice/internal/config"
	"sluice/internal/suggest"
)

func suggestRules(c *cli.Call) int {
	fs := c.Flags()
	var present config.Flags
	var o suggest.Options
	fs.Func("config", "`FILE` whose rules are held against the logs", cli.Given(&present.Config))
	fs.BoolVar(&o.Refused, "refused", false, "allow what rules have refused, too")
	fs.BoolVar(&o.Widen, "widen", false, "write a network (/24, /64 of IPv6) for three or more clients or addresses in it")
	if code, done := c.Parse(fs, maxLogs); done {
		return code
	}
	if fs.NArg() == 0 {
		fmt.Fprintf(c.Stderr, "sluice suggest: no log is named; - is standard input\n")
		return cli.ExitUsage
	}
	var rules *suggest.Present
	if present.Config != "" {
		cfg, err := load(&present)
		if err != nil {
			return c.Fault(err)
		}
		rules = &suggest.Present{Name: cfg.Path, Policy: cfg.Policy}
	}
	seen := suggest.New()
	for _, name := range fs.Args() {
		if err := readLog(seen, name); err != nil {
			return c.Fault(err)
		}
	}
	s, err := seen.Suggest(o)
	if err != nil {
		return c.Fault(err)
	}
	if err := s.Write(c.Stdout, rules); err != nil {
		return c.Fault(err)
	}
	if s.Rules() == 0 {
		return c.Fault(fmt.Errorf("nothing passed, so there is no rule to suggest"))
	}
	return cli.ExitOK
}

// maxLogs is how many logs may be named: as many as a command line has room for.
const maxLogs = 1 << 20

func readLog(seen *suggest.Seen, name string) error {
	if name == "-" {
		return seen.Read("standard input", io.Reader(os.Stdin))
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return seen.Read(name, f)
}
