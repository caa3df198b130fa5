package main

import (
	"errors"
	"fmt"
	"strings"

	"sluice/internal/cli"
	"sluice/internal/mirror"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/settings"
	"sluice/internal/mirror/trust"
)

// setUp prints what tells a client of the mirror.
func setUp(c *cli.Call) int {
	fs := c.Flags()
	f := configFlags(fs)
	at := fs.String("at", "", "`HOST[:PORT]` under which clients reach the mirror (default: as its listener says)")
	script := fs.Bool("script", false, "print the script itself, to be taken to the client's host by hand")
	names, code, done := operands(c, fs)
	if done {
		return code
	}
	if len(names) > 1 {
		fmt.Fprintf(c.Stderr, "sluice-mirror setup: %q is too much; see sluice-mirror setup -h\n", names[1])
		return cli.ExitUsage
	}
	cfg, err := settings.Load(*f)
	if err != nil {
		return c.Fault(err)
	}
	m, err := told(cfg, *at)
	if err != nil {
		return c.Fault(err)
	}
	if len(names) == 0 {
		for _, name := range trust.Names(m) {
			fmt.Fprintf(c.Stdout, "# %s\n%s\n", name, m.Command(name))
		}
		return cli.ExitOK
	}
	form := trust.Text
	if *script {
		form = trust.Script
	}
	text, ok := form(names[0], m)
	if !ok {
		return c.Fault(fmt.Errorf("there is no client %q; there are %s", names[0], strings.Join(trust.Names(m), ", ")))
	}
	fmt.Fprint(c.Stdout, text)
	return cli.ExitOK
}

// told is the mirror as clients reach it: under the given host, or by the first listener
// that other machines reach.
func told(cfg *settings.Config, at string) (trust.Mirror, error) {
	var ca []byte
	if len(mirror.AuthorityNames(cfg)) > 0 {
		a, err := openCA(cfg)
		if err != nil {
			return trust.Mirror{}, err
		}
		ca = a.PEM()
	}
	if at != "" {
		host, err := oci.ParseRegistry(at)
		if err != nil {
			return trust.Mirror{}, fmt.Errorf("--at %q: write it as HOST or HOST:PORT", at)
		}
		return mirror.Told(cfg, listenerAt(cfg, host), host, ca), nil
	}
	for _, l := range cfg.Listeners {
		if host, ok := mirror.Reached(l); ok {
			return mirror.Told(cfg, l, host, ca), nil
		}
	}
	return trust.Mirror{}, errors.New("only this machine reaches the mirror's listeners: say with --at under which HOST:PORT a client does")
}

// listenerAt is the listener of a port, or the first.
func listenerAt(cfg *settings.Config, host string) settings.Listener {
	for _, l := range cfg.Listeners {
		if port := l.Address[strings.LastIndexByte(l.Address, ':'):]; strings.HasSuffix(host, port) {
			return l
		}
	}
	return cfg.Listeners[0]
}
