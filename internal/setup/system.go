package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// System is the machine whose files are changed.
type System struct {
	Root string // stands in front of every absolute path; empty but for tests
	Home string // the user's home, absolute
}

// Here is the machine and the user that this program runs as.
func Here() (System, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return System{}, fmt.Errorf("find the home directory: %w", err)
	}
	return System{Home: home}, nil
}

// path is where the file of a description is.
func (s System) path(described string) string {
	if rest, ok := strings.CutPrefix(described, "~/"); ok {
		return filepath.Join(s.Home, rest)
	}
	return filepath.Join(s.Root, described)
}

// personal tells whether a place's files are in a user's home.
func (p Place) personal() bool {
	return len(p.Files) > 0 && strings.HasPrefix(p.Files[0].Path, "~/")
}

// state is the directory of records about what was changed.
func (s System) state(personal bool) string {
	if !personal {
		return filepath.Join(s.Root, "/var/lib/sluice/setup")
	}
	if dir := os.Getenv("XDG_STATE_HOME"); s.Root == "" && filepath.IsAbs(dir) {
		return filepath.Join(dir, "sluice/setup")
	}
	return filepath.Join(s.Home, ".local/state/sluice/setup")
}

// longestCommand bounds a command that is stuck; stopping a busy dockerd takes up to
// 90 s by systemd's default.
const longestCommand = 3 * time.Minute

// run has a shell run a command, and returns what it prints, errors included.
func (s System) run(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, longestCommand)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Env = append(os.Environ(), "root="+s.Root, "HOME="+s.Home, "LC_ALL=C")
	cmd.WaitDelay = time.Second // a daemon that the command started may hold its output open
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	return strings.TrimSpace(string(out)), err
}

// choose returns the place that this host has, or that of the given name.
func (s System) choose(ctx context.Context, c Client, name string) (Place, error) {
	var names, where []string
	for _, p := range c.Places {
		names = append(names, p.Name)
		if p.Typed == nil {
			where = append(where, p.Where)
		}
		if name != "" && p.Name != name || name == "" && p.Typed != nil {
			continue
		}
		if name != "" && p.Typed != nil {
			return Place{}, fmt.Errorf("%s has no file to change: type what sluice setup %s prints", p.Name, c.Name)
		}
		// Who asks for a place by name knows the host better than its Test does,
		// unless the place could do harm.
		if p.Test == "" || name != "" && p.Otherwise == "" {
			return p, nil
		}
		_, err := s.run(ctx, p.Test)
		if err == nil {
			return p, nil
		}
		if name != "" {
			return Place{}, errors.New(p.Otherwise)
		}
	}
	if name != "" {
		return Place{}, fmt.Errorf("%s has no place %q; there are %s", c.Name, name, strings.Join(names, ", "))
	}
	return Place{}, fmt.Errorf("nothing here runs %s as it is known to run (%s): see what sluice setup %s prints, and put it where yours reads it", c.Name, strings.Join(where, "; "), c.Name)
}

// largest bounds a file that is read whole.
const largest = 16 << 20

// current is a file as it is found.
type current struct {
	target string // with links followed
	text   []byte
	exists bool
	mode   fs.FileMode
	info   fs.FileInfo
}

// read finds a file, following links; one that is not there is no error.
func read(path string) (current, error) {
	c := current{target: path, mode: 0o644}
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return c, fmt.Errorf("%s is a link that leads to nothing: take it away, or make the file it means", path)
		}
		return c, nil
	}
	if err != nil {
		return c, err
	}
	c.target = target
	if c.info, err = os.Stat(target); err != nil {
		return c, err
	}
	if !c.info.Mode().IsRegular() {
		return c, fmt.Errorf("%s is no file, but a %s: move it away", path, kind(c.info.Mode()))
	}
	if c.info.Size() > largest {
		return c, fmt.Errorf("%s has %d bytes, too much for a file of settings: look what is in it", path, c.info.Size())
	}
	f, err := os.Open(target)
	if err != nil {
		return c, err
	}
	defer f.Close()
	c.exists, c.mode = true, c.info.Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)
	c.text, err = io.ReadAll(io.LimitReader(f, largest+1))
	return c, err
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeNamedPipe != 0:
		return "pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}
