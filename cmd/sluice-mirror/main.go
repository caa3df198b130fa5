// Command sluice-mirror is a pull-through mirror of container registries: what one
// client has pulled the next ones have from its cache.
package main

import (
	"io"
	"os"

	"sluice/internal/cli"
)

// version is set by the linker, see the Makefile.
var version string

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	return cli.Program{
		Name:     "sluice-mirror",
		Does:     "sluice-mirror is a pull-through mirror of container registries, with rules about who may pull.",
		Commands: commands(),
	}.Run(args, stdout, stderr)
}

func commands() []cli.Command {
	return []cli.Command{
		{Name: "serve", Args: "[flags]", Does: "run the mirror", Run: serve},
		{Name: "check", Args: "[--config FILE]", Does: "tell whether a configuration is valid, and what is wrong where", Run: check},
		{Name: "cache", Args: "ls [NAME] | rm NAME... | verify | prune --to SIZE  [--config FILE]", Does: "show what is cached, remove some of it, or look for damage", Run: cache},
		{Name: "ca", Args: "print | where | renew  [--config FILE]", Does: "show the mirror's own certificate authority, or make a new one", Run: ca},
		{Name: "setup", Args: "[CLIENT] [--at HOST[:PORT]] [--script]  [--config FILE]", Does: "tell docker, containerd or podman of the mirror: what to run or put where", Run: setUp},
		{Name: "healthcheck", Args: "[--config FILE]", Does: "ask a running mirror whether it is well", Run: healthcheck},
		cli.ShowVersion(cli.Version(version)),
	}
}
