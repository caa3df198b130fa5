package main

import (
	"fmt"

	"sluice/internal/cli"
	"sluice/internal/mirror/settings"
)

func check(c *cli.Call) int {
	fs := c.Flags()
	f := configFlags(fs)
	if code, done := c.Parse(fs, 0); done {
		return code
	}
	cfg, err := settings.Check(*f)
	if err != nil {
		fmt.Fprintln(c.Stderr, err)
		return cli.ExitFault
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintln(c.Stderr, "warning:", w)
	}
	source := cfg.Path
	if source == "" {
		source = "the configuration without a file"
	}
	fmt.Fprintf(c.Stdout, "%s is valid: %s, %s, %s, %s\n", source,
		count(len(cfg.Listeners), "listener"), count(len(cfg.Upstreams), "upstream"), count(len(cfg.Rules), "rule"), count(len(cfg.Warnings), "warning"))
	return cli.ExitOK
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
