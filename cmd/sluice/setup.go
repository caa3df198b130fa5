package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"sluice/internal/cli"
	"sluice/internal/config/strict"
	"sluice/internal/doctor"
	"sluice/internal/setup"
)

type setupFlags struct {
	proxy, noProxy, place string
	pods, services        string
	apply, dry            bool
	undo, force           bool
}

func setUpClient(c *cli.Call) int {
	fs := c.Flags()
	var f setupFlags
	fs.StringVar(&f.proxy, "proxy", "", "the relay, as http://HOST:PORT or socks5://HOST:PORT")
	fs.StringVar(&f.noProxy, "no-proxy", "", "what is reached without the relay, beside this host and private networks: names, .DOMAIN, addresses, CIDRs, with commas")
	fs.StringVar(&f.place, "place", "", "the place to put it, by the name in the printed text (default: the one that this host has)")
	fs.StringVar(&f.pods, "pod-cidr", "", "kubernetes: the pods' ranges (default: what the node says, else "+setup.DefaultPods+")")
	fs.StringVar(&f.services, "service-cidr", "", "kubernetes: the services' ranges (default: what the node says, else "+setup.DefaultServices+")")
	fs.BoolVar(&f.apply, "apply", false, "change the files of this host, restart what reads them, and look whether it took them")
	fs.BoolVar(&f.dry, "dry-run", false, "show what --apply, or with --undo that, would change and run")
	fs.BoolVar(&f.undo, "undo", false, "put the files back as they were before --apply")
	fs.BoolVar(&f.force, "force", false, "with --apply: though the relay does not answer or refuses, and without the doctor; with --undo: though files were changed since")
	name, code, done := parseName(c, fs)
	if done {
		return code
	}
	if name == "" {
		return listClients(c)
	}
	client, ok := setup.Lookup(name)
	if !ok {
		nearest := ""
		if n := strict.Nearest(name, setup.Names()); n != "" {
			nearest = fmt.Sprintf(": did you mean %s?", n)
		}
		return c.Fault(fmt.Errorf("there is no client %q%s; there are %s", name, nearest, strings.Join(setup.Names(), ", ")))
	}
	if f.apply && f.undo || f.apply && f.dry {
		fmt.Fprintf(c.Stderr, "sluice %s: --apply goes with neither --undo nor --dry-run; see sluice %s -h\n", c.Name, c.Name)
		return cli.ExitUsage
	}
	// An interrupted change is taken back.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if f.undo {
		return undoSetup(c, ctx, client, f)
	}
	return setUp(c, ctx, client, f)
}

// parseName reads flags in front of a name and behind it.
func parseName(c *cli.Call, fs *flag.FlagSet) (name string, code int, done bool) {
	for {
		if code, done := c.Parse(fs, len(c.Args)); done {
			return "", code, true
		}
		if fs.NArg() == 0 {
			return name, cli.ExitOK, false
		}
		if name != "" {
			fmt.Fprintf(c.Stderr, "sluice %s: %q is too much; see sluice %s -h\n", c.Name, fs.Arg(0), c.Name)
			return "", cli.ExitUsage, true
		}
		name, c.Args = fs.Arg(0), fs.Args()[1:]
	}
}

func listClients(c *cli.Call) int {
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	for _, client := range setup.Clients() {
		fmt.Fprintf(w, "%s\t%s\n", client.Name, client.Purpose)
	}
	return cli.ExitOK
}

func setUp(c *cli.Call, ctx context.Context, client setup.Client, f setupFlags) int {
	options, err := f.options()
	if err != nil {
		return c.Fault(err)
	}
	system, err := setup.Here()
	if err != nil {
		return c.Fault(err)
	}
	if client.Name == "kubernetes" {
		system.ReadNode(&options)
	}
	switch {
	case f.dry:
		plan, err := system.Plan(ctx, client, f.place, options)
		if err != nil {
			return c.Fault(err)
		}
		plan.Write(c.Stdout)
	case f.apply:
		if err := applySetup(c, ctx, system, client, options, f); err != nil {
			return c.Fault(err)
		}
	default:
		client.Write(c.Stdout, options)
	}
	return cli.ExitOK
}

// applySetup asks the relay before, and has the doctor look behind.
func applySetup(c *cli.Call, ctx context.Context, system setup.System, client setup.Client, o setup.Options, f setupFlags) error {
	remark, err := setup.Reach(ctx, client, o)
	if err != nil && !f.force {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	if remark != "" {
		fmt.Fprintln(c.Stderr, remark)
	}
	changed, err := system.Apply(ctx, client, f.place, o, c.Stdout)
	if err != nil || !changed || f.force || client.Destination == "" {
		return err
	}
	examination := doctor.Options{Proxy: o.Proxy, Environ: os.Environ()}
	if client.Name != "docker" { // whose hosts are what the doctor examines unasked
		if examination.Targets, err = doctor.ParseTargets([]string{client.Destination}); err != nil {
			return err
		}
	}
	p := newProgress(c.Stderr, false)
	examination.Progress = p.step
	verdict := doctor.Run(ctx, examination).Verdict
	p.clear()
	switch verdict.Code {
	case doctor.Open, doctor.WorksThroughProxy, doctor.ProxyHelps:
		// Whether the client has the proxy it was asked itself; the doctor looks for it
		// in the environment and in dockerd's.
	default:
		return fmt.Errorf("the settings are in place, but by sluice doctor %s", verdict.Sentence)
	}
	fmt.Fprintf(c.Stdout, "sluice doctor: %s\n", verdict.Sentence)
	return nil
}

func undoSetup(c *cli.Call, ctx context.Context, client setup.Client, f setupFlags) int {
	system, err := setup.Here()
	if err == nil && f.dry {
		err = system.PlanUndo(client, f.force, c.Stdout)
	} else if err == nil {
		err = system.Undo(ctx, client, f.force, c.Stdout)
	}
	var changed *setup.ChangedError
	if errors.As(err, &changed) {
		fmt.Fprint(c.Stdout, changed.Diff)
	}
	if err != nil {
		return c.Fault(err)
	}
	return cli.ExitOK
}

func (f setupFlags) options() (setup.Options, error) {
	proxy, err := setup.ParseProxy(f.proxy)
	if err != nil {
		return setup.Options{}, err
	}
	o := setup.Options{Proxy: proxy}
	if o.NoProxy, err = setup.ParseNoProxy(f.noProxy); err != nil {
		return o, err
	}
	if o.Pods, err = cidrs("--pod-cidr", f.pods); err != nil {
		return o, err
	}
	if o.Services, err = cidrs("--service-cidr", f.services); err != nil {
		return o, err
	}
	// Without its name the list is still sound: localhost and the addresses are in it.
	if host, err := os.Hostname(); err == nil && net.ParseIP(host) == nil {
		if list, err := setup.ParseNoProxy(host); err == nil && len(list) == 1 {
			o.Host = host
		}
	}
	return o, nil
}

func cidrs(flag, list string) ([]string, error) {
	var all []string
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		if _, err := netip.ParsePrefix(entry); err != nil {
			return nil, fmt.Errorf("%s %q is no CIDR: write it as 10.244.0.0/16", flag, entry)
		}
		all = append(all, entry)
	}
	return all, nil
}
