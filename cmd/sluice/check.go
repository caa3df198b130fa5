package main

import (
	"flag"
	"fmt"
	"net/netip"
	"strings"
	"text/tabwriter"

	"sluice/acl"
	"sluice/internal/cli"
	"sluice/internal/config"
	"sluice/internal/egress"
	"sluice/internal/explain"
	"sluice/internal/server"
)

func check(c *cli.Call) int {
	fs := c.Flags()
	f := configFlags(fs)
	if code, done := c.Parse(fs, 0); done {
		return code
	}
	cfg, err := load(f)
	if err != nil {
		fmt.Fprintln(c.Stderr, err)
		return cli.ExitFault
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintln(c.Stderr, "warning:", w)
	}
	fmt.Fprintf(c.Stdout, "%s is valid: %s, %s, %s\n", source(cfg),
		count(len(cfg.Listeners), "listener"), count(len(cfg.Rules), "rule"), count(len(cfg.Warnings), "warning"))
	return cli.ExitOK
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

func explainRequest(c *cli.Call) int {
	fs := c.Flags()
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
	if code, done := c.Parse(fs, 0); done {
		return code
	}
	req, err := explain.Question(client, to, user)
	if err != nil {
		fmt.Fprintf(c.Stderr, "sluice explain: --%v\n", err)
		return cli.ExitUsage
	}
	cfg, err := load(f)
	if err != nil {
		return c.Fault(err)
	}
	return answer(c, cfg, req)
}

func answer(c *cli.Call, cfg *config.Config, req acl.Request) int {
	a := explain.Explain(cfg.Policy, func(to netip.AddrPort) *egress.Error { return server.Refuses(cfg, to) }, req)
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	for i, s := range a.Steps {
		mark := "no"
		if s.Matched {
			mark = "yes"
		}
		action := s.Action.String()
		if s.Observed {
			action += ", observed"
		}
		fmt.Fprintf(w, "%d\trule %s\t%s\t%s\t%s\n", i+1, s.Rule, action, mark, s.Why)
	}
	w.Flush()
	what, code := "allowed: ", cli.ExitOK
	if !a.Allowed {
		what, code = "denied: ", cli.ExitFault
	}
	switch {
	case a.Observed:
		what = "passes in observe mode, would be denied: "
	case a.NeedsUser:
		what = "denied without credentials: "
	}
	fmt.Fprintln(c.Stdout, what+a.Sentence)
	return code
}

// text is a string as a flag's value.
type text string

func (t *text) String() string     { return string(*t) }
func (t *text) Set(s string) error { *t = text(strings.TrimSpace(s)); return nil }
