package main

import (
	"fmt"

	"sluice/internal/adminclient"
	"sluice/internal/cli"
	"sluice/internal/mirror/settings"
)

func healthcheck(c *cli.Call) int {
	fs := c.Flags()
	f := configFlags(fs)
	if code, done := c.Parse(fs, 0); done {
		return code
	}
	cfg, err := settings.Load(*f)
	if err != nil {
		return c.Fault(err)
	}
	if err := adminclient.Check(cfg.Admin, cfg.Listeners[0].Address); err != nil {
		return c.Fault(err)
	}
	fmt.Fprintln(c.Stdout, "ok")
	return cli.ExitOK
}
