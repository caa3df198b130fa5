package main

import (
	"errors"

	"sluice/internal/cli"
	"sluice/internal/mirror"
	"sluice/internal/mirror/settings"
	"sluice/internal/process"
	"sluice/internal/systemd"
)

func serve(c *cli.Call) int {
	fs := c.Flags()
	f := configFlags(fs)
	if code, done := c.Parse(fs, 0); done {
		return code
	}
	signals := process.Listen()
	defer signals.Stop()
	var o mirror.Options
	var err error
	if o.Sockets, o.Notify, err = systemd.FromManager(); err != nil {
		return c.Fault(err)
	}
	defer o.Notify.Close()
	defer o.Sockets.Close()
	o.Stdout, o.Stderr, o.Version = c.Stdout, c.Stderr, cli.Version(version)
	o.Load = func() (*settings.Config, error) { return settings.Load(*f) }
	cfg, ended, err := process.Unless(signals, o.Load)
	switch {
	case ended:
		return cli.ExitOK
	case err != nil:
		return c.Fault(err)
	}
	s, err := mirror.New(cfg, o)
	if err != nil {
		return c.Fault(err)
	}
	switch err := signals.Attend(s); {
	case errors.Is(err, process.ErrLate):
		return cli.ExitFault // the log may be what holds it up, so nothing is said
	case err != nil:
		return c.Fault(err)
	}
	return cli.ExitOK
}
