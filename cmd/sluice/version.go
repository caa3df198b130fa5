package main

import "sluice/internal/cli"

// version is set by the linker: -ldflags "-X main.version=v1.2.3".
var version string

func versionText() string { return cli.Version(version) }
