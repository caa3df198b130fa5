package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"sluice/internal/cli"
	"sluice/internal/mirror"
	"sluice/internal/mirror/authority"
	"sluice/internal/mirror/cachectl"
	"sluice/internal/mirror/settings"
)

// ca shows the mirror's own certificate authority, or makes a new one.
func ca(c *cli.Call) int {
	fs := c.Flags()
	f := configFlags(fs)
	names, code, done := operands(c, fs)
	if done {
		return code
	}
	order := ""
	if len(names) == 1 {
		order = names[0]
	}
	do := map[string]func(*cli.Call, *settings.Config) error{"print": printCA, "where": whereCA, "renew": renewCA}[order]
	if do == nil {
		fmt.Fprintln(c.Stderr, "sluice-mirror ca: say what to do: print, where or renew; see sluice-mirror ca -h")
		return cli.ExitUsage
	}
	cfg, err := settings.Load(*f)
	if err == nil {
		err = do(c, cfg)
	}
	if err != nil {
		return c.Fault(err)
	}
	return cli.ExitOK
}

// openCA opens the authority that is there, and makes none: one that a client is told
// to trust belongs to the mirror's user, and it makes it at its start.
func openCA(cfg *settings.Config) (*authority.Authority, error) {
	a, err := authority.Find(cfg.Authority, mirror.AuthorityNames(cfg))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no authority in %s: sluice-mirror serve makes one when a listener has tls = \"self\" or there is a [transparent] address", cfg.Authority)
	}
	return a, err
}

// printCA prints the certificate as clients are given it.
func printCA(c *cli.Call, cfg *settings.Config) error {
	a, err := openCA(cfg)
	if err != nil {
		return err
	}
	_, err = c.Stdout.Write(a.PEM())
	return err
}

// whereCA tells where it is, and what by.
func whereCA(c *cli.Call, cfg *settings.Config) error {
	a, err := openCA(cfg)
	if err != nil {
		return err
	}
	describe(c, cfg, a)
	return nil
}

func renewCA(c *cli.Call, cfg *settings.Config) error {
	names := mirror.AuthorityNames(cfg)
	if len(names) == 0 {
		return errors.New("nothing needs an authority: no listener has tls = \"self\", and there is no [transparent] address")
	}
	dir := cfg.Authority
	if _, err := os.Stat(dir); err == nil {
		if dir, err = cachectl.BecomeOwner(dir); err != nil {
			return err
		}
	}
	a, err := authority.Renew(dir, names)
	if err != nil {
		return err
	}
	describe(c, cfg, a)
	fmt.Fprintln(c.Stdout, "A mirror that runs takes it at its next reload; every client has to be set up with it anew.")
	return nil
}

func describe(c *cli.Call, cfg *settings.Config, a *authority.Authority) {
	cert := a.Certificate()
	fmt.Fprintf(c.Stdout, "directory    %s\n", cfg.Authority)
	fmt.Fprintf(c.Stdout, "SHA-256      %s\n", a.Fingerprint())
	fmt.Fprintf(c.Stdout, "good until   %s\n", cert.NotAfter.Format(time.DateOnly))
	for _, name := range cert.PermittedDNSDomains {
		fmt.Fprintf(c.Stdout, "signs for    %s\n", name)
	}
	for _, network := range cert.PermittedIPRanges {
		fmt.Fprintf(c.Stdout, "signs for    %s\n", network)
	}
	if warning := a.Warning(); warning != "" {
		fmt.Fprintln(c.Stderr, "warning:", warning)
	}
}
