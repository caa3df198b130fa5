package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"sluice/internal/config"
	"sluice/internal/presets"
	"sluice/internal/server"
)

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// configFlags are the flags that make up a configuration.
func configFlags(fs *flag.FlagSet) *config.Flags {
	f := &config.Flags{}
	fs.StringVar(&f.Config, "config", "", "`FILE` to read; without it "+config.DefaultPath+" if that exists")
	fs.Var((*list)(&f.Listen), "listen", "`ADDR` to listen on for HTTP and SOCKS5, such as :3128; may be given again")
	fs.Var((*list)(&f.Allow), "allow", "`CIDR` or address of clients to admit; may be given again")
	fs.Var((*list)(&f.To), "to", "`DEST` that these clients may reach: host, *.example.com, CIDR, @preset; may be given again (default anywhere public)")
	fs.Var((*list)(&f.AllowPrivate), "allow-private", "`CIDR` of non-public addresses that may be dialled; may be given again")
	fs.StringVar(&f.Rate, "rate", "", "`RATE` of bytes for each client, each way, such as 50MB/s")
	fs.Func("admin", "`ADDR` of the admin interface (default 127.0.0.1:9128); \"\" turns it off", func(s string) error {
		f.Admin = &s
		return nil
	})
	fs.StringVar(&f.LogFormat, "log-format", "", "json, console or squid (default json)")
	return f
}

// load reads the configuration that the flags describe.
func load(f *config.Flags) (*config.Config, error) {
	return config.Load(*f, config.Presets{Lookup: presets.Patterns, Names: presets.Names()})
}

func serve(c *call) int {
	fs := c.flags()
	f := configFlags(fs)
	if code, done := c.parse(fs, 0); done {
		return code
	}
	cfg, err := load(f)
	if err != nil {
		return c.fault(err)
	}
	s, err := server.New(cfg, server.Options{Stdout: c.stdout, Stderr: c.stderr})
	if err != nil {
		return c.fault(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cut, stopNow := context.WithCancel(context.Background())
	defer stopNow()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP, reopenSignal)
	defer signal.Stop(signals)
	go func() {
		for sig := range signals {
			switch {
			case sig == syscall.SIGHUP || sig == reopenSignal:
				s.ReopenLogs()
			case ctx.Err() == nil:
				stop()
			default:
				stopNow() // a second time: at once
			}
		}
	}()
	err = s.Serve(ctx, cut)
	signal.Stop(signals)
	close(signals)
	if err != nil {
		return c.fault(err)
	}
	return exitOK
}
