package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"sluice/internal/cli"
	"sluice/internal/top"
)

// showTop shows a running proxy on the terminal.
func showTop(c *cli.Call) int {
	fs := c.Flags()
	f := adminFlags(fs)
	once := fs.Bool("once", false, "print what passes now as plain text, and end")
	if code, done := c.Parse(fs, 0); done {
		return code
	}
	client, err := adminClient(f)
	if err != nil {
		return c.Fault(err)
	}
	defer client.Close()
	// The terminal must be given back whatever ends the program. Keys come as they
	// are while it is taken over, so that an interrupt comes from elsewhere.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if *once {
		err = top.Once(ctx, client, c.Stdout)
	} else {
		err = top.Run(ctx, client)
	}
	if err != nil {
		return c.Fault(err)
	}
	return cli.ExitOK
}
