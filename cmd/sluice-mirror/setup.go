package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"sluice/internal/cli"
	"sluice/internal/config/strict"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/settings"
	"sluice/internal/mirror/trust"
)

// setUp prints what tells a client of the mirror: on the mirror's machine, for it has the
// authority that clients are to trust.
func setUp(c *cli.Call) int {
	fs := c.Flags()
	f := configFlags(fs)
	var host string
	var text bool
	fs.Func("host", "`HOST[:PORT]` of the mirror as its clients call it (default: by the first listener)", cli.Given(&host))
	fs.BoolVar(&text, "text", false, "print what to put where by hand, instead of a script")
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
	m, err := told(cfg, host)
	if err != nil {
		return c.Fault(err)
	}
	if len(names) == 0 {
		listClients(c, m)
		return cli.ExitOK
	}
	write := trust.Script
	if text {
		write = trust.Text
	}
	out, ok := write(names[0], m)
	if !ok || !slices.Contains(trust.Names(m), names[0]) {
		return c.Fault(noClient(names[0], m))
	}
	fmt.Fprint(c.Stdout, out)
	return cli.ExitOK
}

// noClient is what is said of a name that is none of a client.
func noClient(name string, m trust.Mirror) error {
	known := trust.Names(m)
	nearest := ""
	if n := strict.Nearest(name, known); n != "" {
		nearest = fmt.Sprintf(": did you mean %s?", n)
	}
	return fmt.Errorf("there is no client %q%s; there are %s", name, nearest, strings.Join(known, ", "))
}

// listClients prints for each client what to type on its host.
func listClients(c *cli.Call, m trust.Mirror) {
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	for _, name := range trust.Names(m) {
		fmt.Fprintf(w, "%s\t%s\n", name, m.Command(name))
	}
}

// told is what clients are told of a mirror; host is as they call it, or "".
func told(cfg *settings.Config, host string) (trust.Mirror, error) {
	l := cfg.Listeners[0]
	m := trust.Mirror{TLS: l.TLS != settings.TLSOff, Trusted: l.TLS == settings.TLSFiles}
	var err error
	if m.Host, err = hostOf(l, host); err != nil {
		return m, err
	}
	if _, err := oci.ParseRegistry(m.Host); err != nil { // it goes into scripts
		return m, fmt.Errorf("%w: name the mirror by --host", err)
	}
	for _, u := range cfg.Upstreams {
		m.Registries = append(m.Registries, u.Name)
		if u.Default {
			m.Default = u.Name
		}
	}
	if cfg.Transparent != nil {
		name := m.Host
		if h, _, err := net.SplitHostPort(m.Host); err == nil {
			name = h
		}
		_, port, err := net.SplitHostPort(cfg.Transparent.Address)
		if err != nil {
			return m, err
		}
		m.Transparent = net.JoinHostPort(strings.Trim(name, "[]"), port)
	}
	if l.TLS == settings.TLSSelf || cfg.Transparent != nil {
		a, err := openCA(cfg)
		if err != nil {
			return m, err
		}
		m.CA = a.PEM()
	}
	return m, nil
}

// hostOf is how clients call a listener: as they are said to, by the first name in its
// certificate, by its address, or by the name of this machine.
func hostOf(l settings.Listener, said string) (string, error) {
	address, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return "", err
	}
	usual := "80"
	if l.TLS != settings.TLSOff {
		usual = "443"
	}
	if said != "" {
		if _, err := oci.ParseRegistry(said); err != nil {
			return "", fmt.Errorf("--host: write it as mirror.example.com:%s: %w", port, err)
		}
		if _, _, err := net.SplitHostPort(said); err == nil || port == usual {
			return said, nil
		}
		return said + ":" + port, nil
	}
	ip, err := netip.ParseAddr(address)
	switch {
	case len(l.Names) > 0:
		address = l.Names[0]
	case address == "" || err == nil && ip.IsUnspecified():
		if address, err = os.Hostname(); err != nil {
			return "", fmt.Errorf("%w: name the mirror by --host", err)
		}
	}
	if port == usual {
		if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() {
			return "[" + address + "]", nil
		}
		return address, nil
	}
	return net.JoinHostPort(address, port), nil
}
