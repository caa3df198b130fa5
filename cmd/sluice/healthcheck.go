package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"sluice/internal/adminclient"
	"sluice/internal/cli"
	"sluice/internal/config"
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
	cfg, err := load(f)
	if err != nil {
		return c.Fault(err)
	}
	if cfg.Admin == "" {
		err = accepts(cfg)
	} else {
		err = healthy(cfg.Admin)
	}
	if err != nil {
		return c.Fault(err)
	}
	fmt.Fprintln(c.Stdout, "ok")
	return cli.ExitOK
}

func accepts(cfg *config.Config) error {
	if len(cfg.Listeners) == 0 {
		return errors.New("the configuration has no listener")
	}
	conn, err := net.DialTimeout("tcp", adminclient.Local(cfg.Listeners[0].Address), healthTime)
	if err != nil {
		return err
	}
	return conn.Close()
}

func healthy(admin string) error {
	client := adminclient.New(admin)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), healthTime)
	defer cancel()
	return client.Healthy(ctx)
}
