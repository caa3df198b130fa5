package main

import (
	"fmt"
	"io"
	"os"

	"sluice/internal/config"
	"sluice/internal/suggest"
)

func suggestRules(c *call) int {
	fs := c.flags()
	var present config.Flags
	var o suggest.Options
	fs.Func("config", "`FILE` whose rules are held against the logs", given(&present.Config))
	fs.BoolVar(&o.Refused, "refused", false, "allow what rules have refused, too")
	fs.BoolVar(&o.Widen, "widen", false, "write a network (/24, /64 of IPv6) for three or more clients or addresses in it")
	if code, done := c.parse(fs, maxLogs); done {
		return code
	}
	if fs.NArg() == 0 {
		fmt.Fprintf(c.stderr, "sluice suggest: no log is named; - is standard input\n")
		return exitUsage
	}
	var rules *suggest.Present
	if present.Config != "" {
		cfg, err := load(&present)
		if err != nil {
			return c.fault(err)
		}
		rules = &suggest.Present{Name: cfg.Path, Policy: cfg.Policy}
	}
	seen := suggest.New()
	for _, name := range fs.Args() {
		if err := readLog(seen, name); err != nil {
			return c.fault(err)
		}
	}
	s, err := seen.Suggest(o)
	if err != nil {
		return c.fault(err)
	}
	if err := s.Write(c.stdout, rules); err != nil {
		return c.fault(err)
	}
	if s.Rules() == 0 {
		return c.fault(fmt.Errorf("nothing passed, so there is no rule to suggest"))
	}
	return exitOK
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
