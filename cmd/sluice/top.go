package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"sluice/internal/top"
)

// showTop shows a running proxy on the terminal.
func showTop(c *call) int {
	fs := c.flags()
	f := adminFlags(fs)
	once := fs.Bool("once", false, "print what passes now as plain text, and end")
	if code, done := c.parse(fs, 0); done {
		return code
	}
	client, err := adminClient(f)
	if err != nil {
		return c.fault(err)
	}
	defer client.Close()
	// The terminal must be given back whatever ends the program. Keys come as they
	// are while it is taken over, so that an interrupt comes from elsewhere.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if *once {
		err = top.Once(ctx, client, c.stdout)
	} else {
		err = top.Run(ctx, client)
	}
	if err != nil {
		return c.fault(err)
	}
	return exitOK
}
