package main

import (
	"flag"

	"sluice/internal/cli"
	"sluice/internal/mirror/settings"
)

// configFlags are the flags that make up a configuration.
func configFlags(fs *flag.FlagSet) *settings.Flags {
	f := placeFlags(fs)
	fs.Var((*cli.List)(&f.Listen), "listen", "`ADDR` to listen on for pulls, such as 127.0.0.1:5000; may be given again")
	fs.Var((*cli.List)(&f.Allow), "allow", "`CIDR` or address of clients that may pull; may be given again")
	fs.Var((*cli.List)(&f.AllowPrivate), "allow-private", "`CIDR` of non-public addresses that may be dialled; may be given again")
	fs.BoolVar(&f.TLSSelf, "tls-self", false, "serve TLS with certificates of the mirror's own authority")
	fs.BoolVar(&f.PlainHTTP, "plain-http", false, "serve plain HTTP, to other machines too")
	fs.Func("max-size", "`SIZE` of the cache, such as 20GB (default 20GB)", cli.Given(&f.MaxSize))
	fs.Var((*cli.List)(&f.Upstream), "upstream", "`NAME[=URL]` of a registry to mirror, such as ghcr.io; may be given again (default docker.io)")
	fs.Func("proxy", "`URL` of the proxy by which upstreams are reached, such as http://relay.example.com:3128", cli.Given(&f.Proxy))
	fs.Func("log-format", "`FORMAT` of logs and records: json or console (default json)", cli.Given(&f.LogFormat))
	return f
}

// placeFlags are the flags that tell where a mirror's cache and its admin interface
// are.
func placeFlags(fs *flag.FlagSet) *settings.Flags {
	f := &settings.Flags{}
	fs.Func("config", "`FILE` to read; without it "+settings.DefaultPath+" if that exists", cli.Given(&f.Config))
	fs.Func("cache", "`DIRECTORY` of the cache (default /var/lib/sluice-mirror)", cli.Given(&f.Cache))
	fs.Func("admin", "`ADDR` of the admin interface, host:port or unix:/path (default 127.0.0.1:5001); \"\" for none", func(s string) error {
		f.Admin = &s
		return nil
	})
	return f
}

// operands reads flags in front of operands, among them and behind them.
func operands(c *cli.Call, fs *flag.FlagSet) (names []string, code int, done bool) {
	for {
		if code, done := c.Parse(fs, len(c.Args)); done {
			return nil, code, true
		}
		if fs.NArg() == 0 {
			return names, cli.ExitOK, false
		}
		names, c.Args = append(names, fs.Arg(0)), fs.Args()[1:]
	}
}
