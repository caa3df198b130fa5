package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"sluice/internal/config"
)

// healthTime is less than the three seconds that container health checks are
// often given.
const healthTime = 2 * time.Second

// healthcheck asks the admin address, or, where that is off, whether the first
// listener accepts.
func healthcheck(c *call) int {
	fs := c.flags()
	f := configFlags(fs)
	if code, done := c.parse(fs, 0); done {
		return code
	}
	cfg, err := load(f)
	if err != nil {
		return c.fault(err)
	}
	if cfg.Admin == "" {
		err = accepts(cfg)
	} else {
		err = healthy(cfg.Admin)
	}
	if err != nil {
		return c.fault(err)
	}
	fmt.Fprintln(c.stdout, "ok")
	return exitOK
}

func accepts(cfg *config.Config) error {
	if len(cfg.Listeners) == 0 {
		return errors.New("the configuration has no listener")
	}
	conn, err := net.DialTimeout("tcp", local(cfg.Listeners[0].Address), healthTime)
	if err != nil {
		return err
	}
	return conn.Close()
}

// local turns a wildcard address into one that can be dialled.
func local(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err == nil && (host == "" || host == "0.0.0.0" || host == "::") {
		return net.JoinHostPort("localhost", port)
	}
	return address
}

func healthy(admin string) error {
	network, address := "tcp", local(admin)
	if path, ok := strings.CutPrefix(admin, "unix:"); ok {
		network, address = "unix", path
	}
	client := http.Client{
		Timeout: healthTime,
		Transport: &http.Transport{ // no proxy: the environment's may be this one
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, address)
			},
		},
	}
	resp, err := client.Get("http://localhost/healthz")
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", admin, resp.Status)
	}
	return nil
}
