// Package cli is the command line of a program that has several commands: which one
// is meant, its flags, and what its exit code says. What a command does is left to it.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// Exit codes of every command.
const (
	ExitOK    = 0
	ExitFault = 1 // it ran and found something wrong
	ExitUsage = 2 // it was called wrongly
)

// Program is a list of commands under one name.
type Program struct {
	Name     string
	Does     string // in one sentence
	Commands []Command
}

// Command is one thing that a program does.
type Command struct {
	Name, Args, Does string
	Run              func(c *Call) int // returns the exit code
}

// Call is one invocation of a command.
type Call struct {
	Command
	Args           []string // behind the command's name
	Stdout, Stderr io.Writer

	program string
}

// Run runs the command that the first argument names, and returns its exit code.
func (p Program) Run(args []string, stdout, stderr io.Writer) int {
	name := "help"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	for _, c := range p.Commands {
		if c.Name == name {
			return c.Run(&Call{Command: c, Args: args, Stdout: stdout, Stderr: stderr, program: p.Name})
		}
	}
	switch strings.TrimLeft(name, "-") {
	case "help", "h":
		p.usage(stdout)
		return ExitOK
	}
	fmt.Fprintf(stderr, "%s: there is no command %q\n\n", p.Name, name)
	p.usage(stderr)
	return ExitUsage
}

func (p Program) usage(w io.Writer) {
	fmt.Fprintln(w, p.Does)
	fmt.Fprintln(w)
	for _, c := range p.Commands {
		fmt.Fprintf(w, "  %s %s\n        %s\n", p.Name, strings.TrimSpace(c.Name+" "+c.Args), c.Does)
	}
	fmt.Fprintf(w, "\n%s COMMAND -h tells a command's flags.\n", p.Name)
}

// Flags returns a flag set that prints where the caller wants it.
func (c *Call) Flags() *flag.FlagSet {
	fs := flag.NewFlagSet(c.program+" "+c.Name, flag.ContinueOnError)
	fs.SetOutput(c.Stderr)
	fs.Usage = func() {
		fmt.Fprintf(c.Stderr, "usage: %s %s\n       %s\n", c.program, strings.TrimSpace(c.Name+" "+c.Command.Args), c.Does)
		fs.PrintDefaults()
	}
	return fs
}

// Parse reads the flags; done tells that the command ends here, with code.
func (c *Call) Parse(fs *flag.FlagSet, maxArgs int) (code int, done bool) {
	switch err := fs.Parse(c.Args); {
	case errors.Is(err, flag.ErrHelp):
		return ExitOK, true
	case err != nil:
		return ExitUsage, true
	}
	if fs.NArg() > maxArgs {
		fmt.Fprintf(c.Stderr, "%s %s: %q is too much; see %s %s -h\n", c.program, c.Name, fs.Arg(maxArgs), c.program, c.Name)
		return ExitUsage, true
	}
	return ExitOK, false
}

// Fault prints an error and returns the exit code for it.
func (c *Call) Fault(err error) int {
	fmt.Fprintf(c.Stderr, "%s %s: %v\n", c.program, c.Name, err)
	return ExitFault
}

// List is a flag that may be given more than once.
type List []string

func (l *List) String() string     { return strings.Join(*l, ",") }
func (l *List) Set(s string) error { *l = append(*l, s); return nil }

// Given sets a flag that cannot be empty: --rate "$RATE" with the variable unset is a
// mistake, not a wish for no limit.
func Given(p *string) func(string) error {
	return func(s string) error {
		if s == "" {
			return errors.New("it is empty; leave the flag out instead")
		}
		*p = s
		return nil
	}
}
