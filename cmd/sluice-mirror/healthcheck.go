package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"sluice/internal/adminclient"
	"sluice/internal/cli"
	"sluice/internal/mirror/settings"
)

// healthTime is less than the three seconds that container health checks are
// often given.
const healthTime = 2 * time.Second

// healthcheck asks the admin address, or, where that is off, whether the first
// listener accepts.
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
	if err := healthy(cfg); err != nil {
		return c.Fault(err)
	}
	fmt.Fprintln(c.Stdout, "ok")
	return cli.ExitOK
}

func healthy(cfg *settings.Config) error {
	if cfg.Admin == "" {
		conn, err := net.DialTimeout("tcp", adminclient.Local(cfg.Listeners[0].Address), healthTime)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	client := adminclient.New(cfg.Admin)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), healthTime)
	defer cancel()
	return client.Healthy(ctx)
}
