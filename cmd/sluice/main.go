// Command sluice is a plain egress forward proxy: HTTP CONNECT, absolute-form
// HTTP and SOCKS5, with source-address rules and limits for each client.
package main

import (
	"io"
	"os"

	"sluice/internal/cli"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	return cli.Program{
		Name:     "sluice",
		Does:     "Sluice is an egress forward proxy: HTTP and SOCKS5, with rules and limits for each client.",
		Commands: commands(),
	}.Run(args, stdout, stderr)
}

func commands() []cli.Command {
	return []cli.Command{
		{Name: "serve", Args: "[flags]", Does: "run the proxy", Run: serve},
		{Name: "check", Args: "[--config FILE]", Does: "tell whether a configuration is valid, and what is wrong where", Run: check},
		{Name: "explain", Args: "[--config FILE] --client IP --to HOST:PORT [--user NAME]", Does: "tell which rule decides, and why, rule by rule", Run: explainRequest},
		{Name: "suggest", Args: "[--config FILE] [--refused] [--widen] LOG...", Does: "write the rules that allow what access logs show, Sluice's or Squid's", Run: suggestRules},
		{Name: "presets", Args: "[--check [--proxy URL] [--json]] [NAME...]", Does: "list the destination presets, or the hosts of some; or ask whether these are still there", Run: showPresets},
		{Name: "setup", Args: "[CLIENT --proxy URL [--no-proxy LIST] [--dry-run | --apply]] | [CLIENT --undo]", Does: "tell a client of the relay: print what to put where, or do it, or undo it", Run: setUpClient},
		{Name: "doctor", Args: "[--proxy URL] [--image IMAGE] [--json] [--timeout TIME] [HOST:PORT|@preset]...", Does: "tell what is blocked here, and whether a proxy helps", Run: examine},
		{Name: "top", Args: "[--config FILE] [--admin ADDR] [--once]", Does: "show on the terminal what passes through a running proxy now", Run: showTop},
		{Name: "healthcheck", Args: "[--config FILE]", Does: "ask a running proxy whether it is well", Run: healthcheck},
		cli.ShowVersion(versionText()),
	}
}
