package main

import (
	"errors"
	"fmt"

	"sluice/internal/adminclient"
	"sluice/internal/cli"
)

func healthcheck(c *cli.Call) int {
	fs := c.Flags()
	f := configFlags(fs)
	if code, done := c.Parse(fs, 0); done {
		return code
	}
	cfg, err := load(f)
	if err != nil {
		return c.Fault(err)
	}
	if cfg.Admin == "" && len(cfg.Listeners) == 0 {
		return c.Fault(errors.New("the configuration has no listener"))
	}
	listener := ""
	if len(cfg.Listeners) > 0 {
		listener = cfg.Listeners[0].Address
	}
	if err := adminclient.Check(cfg.Admin, listener); err != nil {
		return c.Fault(err)
	}
	fmt.Fprintln(c.Stdout, "ok")
	return cli.ExitOK
}
