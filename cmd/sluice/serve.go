package main

import (
	"errors"
	"flag"
	"runtime"

	"sluice/internal/cli"
	"sluice/internal/config"
	"sluice/internal/presets"
	"sluice/internal/process"
	"sluice/internal/relay"
	"sluice/internal/server"
	"sluice/internal/systemd"
)

// configFlags are the flags that make up a configuration.
func configFlags(fs *flag.FlagSet) *config.Flags {
	f := &config.Flags{}
	fs.Func("config", "`FILE` to read; without it "+config.DefaultPath+" if that exists", cli.Given(&f.Config))
	fs.Var((*cli.List)(&f.Listen), "listen", "`ADDR` to listen on for HTTP and SOCKS5, such as :3128; may be given again")
	fs.Var((*cli.List)(&f.Allow), "allow", "`CIDR` or address of clients to admit; may be given again")
	fs.Var((*cli.List)(&f.To), "to", "`DEST` that these clients may reach: host, *.example.com, CIDR, @preset; may be given again (default anywhere public)")
	fs.Var((*cli.List)(&f.AllowPrivate), "allow-private", "`CIDR` of non-public addresses that may be dialled; may be given again")
	fs.Func("rate", "`RATE` of bytes for each client, each way, such as 50MB/s", cli.Given(&f.Rate))
	fs.Func("admin", "`ADDR` of the admin interface (default 127.0.0.1:9128); \"\" turns it off", func(s string) error {
		f.Admin = &s
		return nil
	})
	fs.Func("log-format", "`FORMAT` of logs and records: json, console or squid (default json)", cli.Given(&f.LogFormat))
	return f
}

// load reads the configuration that the flags describe.
func load(f *config.Flags) (*config.Config, error) {
	return config.Load(*f, config.Presets{Lookup: presets.Patterns, Names: presets.Names()})
}

func serve(c *cli.Call) int {
	fs := c.Flags()
	f := configFlags(fs)
	if code, done := c.Parse(fs, 0); done {
		return code
	}
	signals := process.Listen()
	defer signals.Stop()
	var o server.Options
	var err error
	if o.Sockets, o.Notify, err = systemd.FromManager(); err != nil {
		return c.Fault(err)
	}
	defer o.Notify.Close()
	defer o.Sockets.Close()
	cfg, ended, err := process.Unless(signals, func() (*config.Config, error) { return load(f) })
	switch {
	case ended:
		return cli.ExitOK
	case err != nil:
		return c.Fault(err)
	}
	processors := runtime.GOMAXPROCS(0)
	o.Loops = relay.Loops(processors)
	runtime.GOMAXPROCS(processors + o.Loops)
	o.Stdout, o.Stderr, o.Version = c.Stdout, c.Stderr, versionText()
	o.Load = func() (*config.Config, error) { return load(f) }
	s, err := server.New(cfg, o)
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
