package main

import (
	"flag"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"text/tabwriter"

	"sluice/acl"
	"sluice/internal/config"
	"sluice/internal/egress"
	"sluice/internal/server"
)

func check(c *call) int {
	fs := c.flags()
	f := configFlags(fs)
	if code, done := c.parse(fs, 0); done {
		return code
	}
	cfg, err := load(f)
	if err != nil {
		fmt.Fprintln(c.stderr, err)
		return exitFault
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintln(c.stderr, "warning:", w)
	}
	fmt.Fprintf(c.stdout, "%s is valid: %s, %s, %s\n", source(cfg),
		count(len(cfg.Listeners), "listener"), count(len(cfg.Rules), "rule"), count(len(cfg.Warnings), "warning"))
	return exitOK
}

func source(cfg *config.Config) string {
	if cfg.Path == "" {
		return "the configuration without a file"
	}
	return cfg.Path
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func explain(c *call) int {
	fs := c.flags()
	f := configFlags(fs)
	// Here --to is the one destination that is asked about, not a rule's.
	var to, client, user string
	fs.VisitAll(func(fl *flag.Flag) {
		if fl.Name == "to" {
			fl.Value, fl.Usage, fl.DefValue = (*text)(&to), "`HOST:PORT` that is asked for", ""
		}
	})
	fs.StringVar(&client, "client", "", "source `IP` of the client")
	fs.StringVar(&user, "user", "", "authenticated user `NAME`")
	if code, done := c.parse(fs, 0); done {
		return code
	}
	req, err := explainRequest(client, to, user)
	if err != nil {
		fmt.Fprintf(c.stderr, "sluice explain: %v\n", err)
		return exitUsage
	}
	cfg, err := load(f)
	if err != nil {
		return c.fault(err)
	}
	return c.explain(cfg, req)
}

func explainRequest(client, to, user string) (acl.Request, error) {
	var req acl.Request
	addr, err := netip.ParseAddr(client)
	if err != nil {
		return req, fmt.Errorf("--client %q is not an address", client)
	}
	host, port, err := net.SplitHostPort(to)
	if err != nil {
		return req, fmt.Errorf("--to %q is not HOST:PORT, such as example.com:443", to)
	}
	h, err := acl.ParseHost(host)
	if err != nil {
		return req, fmt.Errorf("--to %q: %w", to, err)
	}
	p, err := acl.ParsePort(port)
	if err != nil {
		return req, fmt.Errorf("--to %q: %w", to, err)
	}
	return acl.Request{Client: addr, User: user, Host: h, Port: p}, nil
}

func (c *call) explain(cfg *config.Config, req acl.Request) int {
	d, steps := cfg.Policy.Explain(req)
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	for i, s := range steps {
		mark := "no"
		if s.Matched {
			mark = "yes"
		}
		fmt.Fprintf(w, "%d\trule %s\t%s\t%s\t%s\n", i+1, s.Rule, s.Action, mark, s.Why)
	}
	w.Flush()
	if d.Action == acl.Deny {
		what := "denied: "
		if d.NeedsUser {
			what = "denied without credentials: "
		}
		fmt.Fprintln(c.stdout, what+cfg.Policy.Sentence(req, d))
		return exitFault
	}
	rule := steps[len(steps)-1].Rule
	if e := refusedAddress(cfg, req); e != nil {
		hint := ""
		if e.Kind == egress.NotPublic && !acl.Unwrap(req.Host.Addr()).IsUnspecified() {
			hint = ", and egress.allow_private does not list it"
		}
		fmt.Fprintf(c.stdout, "denied: rule %s allows it, but %s%s\n", rule, e.Sentence, hint)
		return exitFault
	}
	fmt.Fprintf(c.stdout, "allowed: rule %s lets %s reach %s", rule, req.Client, req.Host.Join(req.Port))
	if !req.Host.IsAddr() {
		fmt.Fprint(c.stdout, "; addresses that it resolves to are judged when it is dialled")
	}
	fmt.Fprintln(c.stdout)
	return exitOK
}

// refusedAddress tells why a literal address is never dialled, or nil.
func refusedAddress(cfg *config.Config, req acl.Request) *egress.Error {
	if !req.Host.IsAddr() {
		return nil
	}
	return server.Refuses(cfg, netip.AddrPortFrom(req.Host.Addr(), req.Port))
}

// text is a string as a flag's value.
type text string

func (t *text) String() string     { return string(*t) }
func (t *text) Set(s string) error { *t = text(strings.TrimSpace(s)); return nil }
