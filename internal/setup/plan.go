package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/diff"
)

// Plan is what will be changed on this machine. Nothing has been written.
type Plan struct {
	Client   Client
	Place    Place
	Options  Options
	Warnings []string // what to know before, each a sentence

	changes []change
	system  System
}

// change is one file that is to hold something else.
type change struct {
	path string // as it is shown
	current
	next []byte
}

// Plan finds the place of the client that this host has, or the one of the given
// name, and works out what its files have to hold. An error says what to do.
func (s System) Plan(ctx context.Context, c Client, place string, o Options) (*Plan, error) {
	if o.SOCKS() && !c.TakesSOCKS() {
		return nil, fmt.Errorf("%s cannot use a SOCKS5 proxy as it is: %s", c.Name, c.SOCKS)
	}
	p, err := s.choose(ctx, c, place)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Client: c, Place: p, Options: o, system: s}
	if o.Secret() {
		if p.Everybody {
			return nil, fmt.Errorf("%s is read by every user, and so would be the proxy's password: admit this host by its address instead, or set up each user with --place user", p.Files[0].Path)
		}
		plan.Warnings = append(plan.Warnings, "The proxy's password stands in these files in the clear; they are made readable for their owner alone.")
	}
	if p.personal() && os.Geteuid() == 0 && os.Getenv("SUDO_USER") != "" {
		plan.Warnings = append(plan.Warnings, "These are the files of root, in "+s.Home+": for those of "+os.Getenv("SUDO_USER")+" run it without sudo.")
	}
	for _, f := range p.Files {
		now, err := read(s.path(f.Path))
		if err != nil {
			return nil, advise(err)
		}
		var old []byte
		if now.exists {
			old = now.text
		}
		next, err := f.Edit(old, o)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be changed: %w", s.path(f.Path), err)
		}
		if err := s.outdone(f, o); err != nil {
			return nil, err
		}
		if now.exists && bytes.Equal(next, now.text) {
			continue
		}
		if o.Secret() {
			now.mode = 0o600
		}
		plan.changes = append(plan.changes, change{path: s.path(f.Path), current: now, next: next})
	}
	return plan, nil
}

// outdone finds a drop-in that systemd reads behind ours and that would win.
func (s System) outdone(f File, o Options) error {
	if f.Format != DropIn {
		return nil
	}
	ours := s.path(f.Path)
	others, err := filepath.Glob(filepath.Join(filepath.Dir(ours), "*.conf"))
	if err != nil {
		return err
	}
	for _, other := range others {
		if filepath.Base(other) <= filepath.Base(ours) {
			continue
		}
		now, err := read(other)
		if err != nil {
			return advise(err)
		}
		for line := range strings.Lines(string(now.text)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			if strings.TrimSpace(key) != "Environment" {
				continue
			}
			if _, mine, _ := partition(value, f.Settings(o)); mine > 0 {
				return fmt.Errorf("%s sets a proxy too, and systemd reads it after %s: take the line out there first", other, filepath.Base(ours))
			}
		}
	}
	return nil
}

// Done tells whether there is nothing to change.
func (p *Plan) Done() bool { return len(p.changes) == 0 }

// Files are the paths of the files that will change.
func (p *Plan) Files() []string {
	var paths []string
	for _, c := range p.changes {
		paths = append(paths, c.path)
	}
	return paths
}

// Write prints the plan: every change as a unified diff, without passwords, and the
// commands that follow.
func (p *Plan) Write(w io.Writer) {
	if p.Done() {
		fmt.Fprintf(w, "%s is set up so already (%s): nothing to do.\n", p.Client.Name, p.Place.Name)
		return
	}
	for _, warning := range p.Warnings {
		fmt.Fprintf(w, "# %s\n", warning)
	}
	for _, c := range p.changes {
		fmt.Fprint(w, c.diff())
	}
	if len(p.Place.Reload) > 0 {
		fmt.Fprintln(w, "# Then:")
	}
	for _, command := range p.Place.Reload {
		fmt.Fprintf(w, "    %s\n", strings.ReplaceAll(command, "$root", p.system.Root))
	}
	if p.Place.Disturbs != "" {
		fmt.Fprintf(w, "# (%s)\n", p.Place.Disturbs)
	}
}

func (c change) diff() string {
	from := c.path
	if !c.exists {
		from = "/dev/null"
	}
	return difference(from, c.text, c.path, c.next)
}

// secrets are values that other programs keep in files that we change, passwords
// those that go to the end of their line, and inURL the passwords of URLs.
var (
	secrets   = regexp.MustCompile(`((?i:"(?:auth|identitytoken|registrytoken)"\s*:\s*"|_auth(?:token)?\s*=\s*|<password>))[^"<\s]+`)
	passwords = regexp.MustCompile(`((?i:password)[ \t]*=[ \t]*)[^\r\n]+`)
	inURL     = regexp.MustCompile(`(://[^/\s:@"']*:)[^\s"]+@`) // to the last "@": a person may have escaped none
)

func difference(from string, old []byte, to string, next []byte) string {
	hide := func(text []byte) []byte {
		for _, secret := range []*regexp.Regexp{secrets, passwords} {
			text = secret.ReplaceAll(text, []byte("${1}xxxxx"))
		}
		return inURL.ReplaceAll(text, []byte("${1}xxxxx@"))
	}
	text := diff.Diff(from, hide(old), to, hide(next))
	if len(text) == 0 && !bytes.Equal(old, next) {
		return fmt.Sprintf("--- %s\n+++ %s\n# (only a password differs, which is not shown)\n", from, to)
	}
	_, text, _ = bytes.Cut(text, []byte("\n")) // "diff FROM TO"
	return string(text)
}

// advise adds what to do to an error of a file system.
func advise(err error) error {
	var path *fs.PathError
	what := err
	if errors.As(err, &path) {
		what = fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		if os.Geteuid() != 0 {
			return fmt.Errorf("%w: run it as root, with sudo", what)
		}
		return fmt.Errorf("%w: something forbids even root to write there, as chattr +i or a container would", what)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: nothing was changed; run it where it can be written, or put what sluice setup prints into the image that it comes from", what)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: nothing was changed; make room first", what)
	}
	return what
}
