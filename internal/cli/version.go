package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Version is what the linker was told (-ldflags "-X main.version=v1.2.3"), or what the
// Go tool knows of the build.
func Version(linked string) string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && text == "(devel)" {
			text = "devel " + s.Value[:min(12, len(s.Value))]
		}
	}
	return text
}

// ShowVersion is a command that prints the version.
func ShowVersion(version string) Command {
	return Command{Name: "version", Does: "print the version", Run: func(c *Call) int {
		fs := c.Flags()
		if code, done := c.Parse(fs, 0); done {
			return code
		}
		fmt.Fprintf(c.Stdout, "%s %s (%s, %s/%s)\n", c.program, version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return ExitOK
	}}
}
