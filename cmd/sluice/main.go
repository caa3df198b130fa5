// Command sluice is a plain egress forward proxy: HTTP CONNECT, absolute-form
// HTTP and SOCKS5, with source-address rules and limits for each client.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// Exit codes of every command.
const (
	exitOK    = 0
	exitFault = 1 // it ran and found something wrong
	exitUsage = 2 // it was called wrongly
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

type command struct {
	name, args, does string
	run              func(c *call) int
}

func commands() []command {
	return []command{
		{"serve", "[flags]", "run the proxy", serve},
		{"check", "[--config FILE]", "tell whether a configuration is valid, and what is wrong where", check},
		{"explain", "[--config FILE] --client IP --to HOST:PORT [--user NAME]", "tell which rule decides, and why, rule by rule", explainRequest},
		{"suggest", "[--config FILE] [--refused] [--widen] LOG...", "write the rules that allow what access logs show, Sluice's or Squid's", suggestRules},
		{"presets", "[--check [--proxy URL] [--json]] [NAME...]", "list the destination presets, or the hosts of some; or ask whether these are still there", showPresets},
		{"setup", "[CLIENT --proxy URL [--no-proxy LIST] [--dry-run | --apply]] | [CLIENT --undo]", "tell a client of the relay: print what to put where, or do it, or undo it", setUpClient},
		{"doctor", "[--proxy URL] [--image IMAGE] [--json] [--timeout TIME] [HOST:PORT|@preset]...", "tell what is blocked here, and whether a proxy helps", examine},
		{"top", "[--config FILE] [--admin ADDR] [--once]", "show on the terminal what passes through a running proxy now", showTop},
		{"healthcheck", "[--config FILE]", "ask a running proxy whether it is well", healthcheck},
		{"version", "", "print the version", showVersion},
	}
}

// call is one invocation of a command.
type call struct {
	command
	args           []string
	stdout, stderr io.Writer
}

func run(args []string, stdout, stderr io.Writer) int {
	name := "help"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	for _, c := range commands() {
		if c.name == name {
			return c.run(&call{command: c, args: args, stdout: stdout, stderr: stderr})
		}
	}
	switch strings.TrimLeft(name, "-") {
	case "help", "h":
		usage(stdout)
		return exitOK
	}
	fmt.Fprintf(stderr, "sluice: there is no command %q\n\n", name)
	usage(stderr)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "Sluice is an egress forward proxy: HTTP and SOCKS5, with rules and limits for each client.")
	fmt.Fprintln(w)
	for _, c := range commands() {
		fmt.Fprintf(w, "  sluice %s\n        %s\n", strings.TrimSpace(c.name+" "+c.args), c.does)
	}
	fmt.Fprintln(w, "\nsluice COMMAND -h tells a command's flags.")
}

// flags returns a flag set that prints where the caller wants it.
func (c *call) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("sluice "+c.name, flag.ContinueOnError)
	fs.SetOutput(c.stderr)
	fs.Usage = func() {
		fmt.Fprintf(c.stderr, "usage: sluice %s\n       %s\n", strings.TrimSpace(c.name+" "+c.command.args), c.does)
		fs.PrintDefaults()
	}
	return fs
}

// parse reads the flags; done tells that the command ends here, with code.
func (c *call) parse(fs *flag.FlagSet, maxArgs int) (code int, done bool) {
	switch err := fs.Parse(c.args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK, true
	case err != nil:
		return exitUsage, true
	}
	if fs.NArg() > maxArgs {
		fmt.Fprintf(c.stderr, "sluice %s: %q is too much; see sluice %s -h\n", c.name, fs.Arg(maxArgs), c.name)
		return exitUsage, true
	}
	return exitOK, false
}

// fault prints an error and returns the exit code for it.
func (c *call) fault(err error) int {
	fmt.Fprintf(c.stderr, "sluice %s: %v\n", c.name, err)
	return exitFault
}
