package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Apply makes a plan's changes, all or none, has the client read them, and looks
// whether it did. It tells on w what it does. A second time it changes nothing. When
// the client does not take the settings, the files are put back. It returns whether
// there was anything to change.
func (s System) Apply(ctx context.Context, c Client, place string, o Options, w io.Writer) (changed bool, err error) {
	p, err := s.choose(ctx, c, place)
	if err != nil {
		return false, err
	}
	dir, unlock, err := s.open(p.personal())
	if err != nil {
		return false, err
	}
	defer unlock()
	// Only now, with the lock held, are the files read.
	plan, err := s.Plan(ctx, c, p.Name, o)
	if err != nil {
		return false, err
	}
	if plan.Done() {
		plan.Write(w)
		return false, nil
	}
	before, err := readRecord(dir, c.Name)
	if err != nil {
		return false, err
	}
	for _, warning := range plan.Warnings {
		fmt.Fprintln(w, warning)
	}
	t := &transaction{plan: plan, dir: dir, before: before}
	if err := t.write(); err != nil {
		return false, advise(err)
	}
	for _, f := range t.record.Files {
		if f.Backup != "" {
			fmt.Fprintf(w, "wrote %s (as it was: %s)\n", f.Path, f.Backup)
			continue
		}
		fmt.Fprintf(w, "wrote %s\n", f.Path)
	}
	if err := t.takeEffect(ctx, w); err != nil {
		return false, err
	}
	return true, nil
}

// open makes the directory of records and takes its lock.
func (s System) open(personal bool) (dir string, unlock func(), err error) {
	if personal && foreign(s.Home) {
		return "", nil, fmt.Errorf("%s belongs to another user, whose own files these are: run it as that user, without sudo", s.Home)
	}
	dir = s.state(personal)
	mode := fs.FileMode(0o755)
	if personal {
		mode = 0o700
	}
	made, err := makeDirectories(dir, mode)
	if err != nil {
		return "", nil, advise(err)
	}
	f, err := lock(dir)
	if err != nil {
		removeDirectories(made)
		return "", nil, advise(err)
	}
	return dir, func() {
		removeDirectories(made) // those that stayed empty, for nothing came of it
		f.Close()
	}, nil
}

// transaction is the writing of a plan's files, and the way back.
type transaction struct {
	plan   *Plan
	dir    string  // of the records
	before *record // nil: the client is not set up yet
	record *record

	staged  []staged
	backups []string // made now
	made    []string // directories made now
	renamed []change // files that have taken their place
}

// write brings everything to the disk under other names first. What may fail for
// want of room or rights fails there, where nothing has been changed.
func (t *transaction) write() (err error) {
	p := t.plan
	t.record = &record{Client: p.Client.Name, Place: p.Place.Name, Proxy: p.Options.Proxy.Redacted()}
	if t.before != nil {
		if t.before.Place != p.Place.Name {
			return fmt.Errorf("%s was set up in another place before, %s: sluice setup %s --undo first", p.Client.Name, t.before.Place, p.Client.Name)
		}
		t.record.Files = slices.Clone(t.before.Files)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.back())
		}
	}()
	for _, c := range p.changes {
		if err := t.prepare(c); err != nil {
			return err
		}
	}
	if err := t.record.write(t.dir); err != nil {
		return err
	}
	for i, c := range p.changes {
		if err := t.staged[i].commit(); err != nil {
			return err
		}
		t.renamed = append(t.renamed, c)
	}
	return nil
}

// prepare stages one file, and keeps what it holds now.
func (t *transaction) prepare(c change) error {
	mode := fs.FileMode(0o755)
	if t.plan.Place.personal() {
		mode = 0o700
	}
	made, err := makeDirectories(filepath.Dir(c.target), mode)
	t.made = append(t.made, made...)
	if err != nil {
		return err
	}
	s, err := stage(c.target, c.next, c.mode, c.info)
	if err != nil {
		return err
	}
	t.staged = append(t.staged, s)
	if f := t.record.file(c.target); f != nil {
		now := ""
		if c.exists {
			now = sum(c.text)
		}
		f.Edited = f.Edited || now != f.Wrote && now != f.Before
		f.Wrote = sum(c.next)
		return nil
	}
	f := recordedFile{Path: c.path, Target: c.target, Directories: made, Wrote: sum(c.next)}
	if c.exists {
		f.Backup, f.Before = c.target+backupSuffix(t.plan.Client.Name), sum(c.text)
		if err := keep(f.Backup, c); err != nil {
			return err
		}
		t.backups = append(t.backups, f.Backup)
	}
	t.record.Files = append(t.record.Files, f)
	return nil
}

// keep copies a file with its owner, mode and attributes. An earlier copy is never
// written over; one that a killed run has left is the same as what is there.
func keep(backup string, c change) error {
	earlier, err := read(backup)
	if err != nil {
		return err
	}
	if earlier.exists && bytes.Equal(earlier.text, c.text) && earlier.mode == c.info.Mode().Perm() {
		return nil
	}
	if earlier.exists {
		return fmt.Errorf("%s is there from an earlier run whose record is gone: compare it with %s, then move it away", backup, c.path)
	}
	return replace(backup, c.text, c.info.Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky), c.info)
}

// back puts everything as it was before write.
func (t *transaction) back() error {
	var faults []error
	for _, c := range t.renamed {
		var err error
		if c.exists {
			err = replace(c.target, c.text, c.info.Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky), c.info)
		} else {
			err = os.Remove(c.target)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("put %s back: %w", c.path, err))
		}
	}
	for _, s := range t.staged {
		s.drop()
	}
	if len(faults) > 0 { // the copies and the record are what can still help
		return errors.Join(faults...)
	}
	for _, backup := range t.backups {
		_ = os.Remove(backup)
	}
	removeDirectories(t.made)
	if t.before != nil {
		return t.before.write(t.dir)
	}
	if err := os.Remove(recordPath(t.dir, t.plan.Client.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// takeEffect has the client read its files, and puts them back when it does not.
func (t *transaction) takeEffect(ctx context.Context, w io.Writer) error {
	p := t.plan
	err := p.system.reload(ctx, p.Place, w)
	if err == nil {
		err = p.verify(ctx, w)
	}
	if err == nil {
		return nil
	}
	// Also when it was interrupted: a half is worse than either whole.
	after := context.WithoutCancel(ctx)
	if fault := t.back(); fault != nil {
		return fmt.Errorf("%w; and %w: sluice setup %s --undo tries again", err, fault, p.Client.Name)
	}
	if fault := p.system.reload(after, p.Place, io.Discard); fault != nil {
		return fmt.Errorf("%w; the files are as they were, but %w", err, fault)
	}
	return fmt.Errorf("%w; the files are as they were", err)
}

func (s System) reload(ctx context.Context, p Place, w io.Writer) error {
	runs := p.Reloads()
	for i, command := range p.Reload {
		fmt.Fprintf(w, "%s\n", strings.ReplaceAll(command, "$root", s.Root))
		if out, err := s.run(ctx, runs[i]); err != nil {
			return fmt.Errorf("%q failed (%w): %s", command, err, lastLine(out))
		}
	}
	return nil
}

// verify asks the client itself. Where it cannot be asked, that is no fault.
func (p *Plan) verify(ctx context.Context, w io.Writer) error {
	v := p.Client.Verify
	if v.When != "" {
		fmt.Fprintf(w, "to see whether it works, %s: %s\n", v.When, v.Command)
		return nil
	}
	ask := p.system.run
	if len(p.Place.Reload) > 0 {
		ask = p.system.ask
	}
	out, err := ask(ctx, v.Command)
	want := v.wants(p.Options)
	switch {
	case strings.Contains(out, want):
		fmt.Fprintf(w, "%s has the proxy, by %s\n", p.Client.Name, v.Command)
		return nil
	case err != nil && ctx.Err() == nil:
		fmt.Fprintf(w, "not looked at whether %s took it: %s (%v) %s\n", p.Client.Name, v.Command, err, lastLine(out))
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("%s does not take the proxy from there: %s shows no %s, but %q; see what else sets it", p.Client.Name, v.Command, want, lastLine(out))
}

// patience is how long a client may take to answer after it was restarted: scripts of
// /etc/init.d come back before a daemon listens.
const patience = 15 * time.Second

// ask runs a command until it succeeds, for so long. One that is not there is not
// waited for.
func (s System) ask(ctx context.Context, command string) (out string, err error) {
	const notFound = 127 // by POSIX, of a shell
	for deadline := time.Now().Add(patience); ; {
		out, err = s.run(ctx, command)
		var exit *exec.ExitError
		if err == nil || errors.As(err, &exit) && exit.ExitCode() == notFound || time.Now().After(deadline) {
			return out, err
		}
		select {
		case <-ctx.Done():
			return out, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
