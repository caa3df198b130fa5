package main

import (
	"errors"
	"flag"

	"sluice/internal/adminclient"
	"sluice/internal/cli"
	"sluice/internal/config"
)

// adminFlags are the flags that tell where a running proxy's admin interface is.
func adminFlags(fs *flag.FlagSet) *config.Flags {
	f := &config.Flags{}
	fs.Func("config", "`FILE` of the running proxy; without it "+config.DefaultPath+" if that exists", cli.Given(&f.Config))
	fs.Func("admin", "`ADDR` of its admin interface, host:port or unix:/path (default: what the file says, else 127.0.0.1:9128)", func(s string) error {
		f.Admin = &s
		return nil
	})
	return f
}

// adminClient is for the admin interface that the flags lead to. The file is read
// only where they do not name it: who may not read the file may know the address.
func adminClient(f *config.Flags) (*adminclient.Client, error) {
	address := ""
	if f.Admin != nil {
		address = *f.Admin
	} else {
		cfg, err := load(f)
		if err != nil {
			return nil, err
		}
		address = cfg.Admin
	}
	if address == "" {
		return nil, errors.New("the admin interface is off; [admin] address, or --admin of sluice serve, turns it on")
	}
	return adminclient.New(address), nil
}
