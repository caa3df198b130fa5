package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// ChangedError says that a file is not as it was written, so that undoing would lose
// what somebody else put there.
type ChangedError struct {
	Path string
	Diff string // from what undoing would put there to what is there
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s was changed by somebody else since it was written, and undoing would lose that: take our lines out by hand, or say --force", e.Path)
}

// ErrNothing says that a client was not set up here.
var ErrNothing = errors.New("was not set up here by sluice setup, or was undone: there is nothing to undo")

// Undo puts the files of a client back as they were before the first Apply, byte for
// byte, and has the client read them. Files that were changed since are refused with
// a *ChangedError, and then nothing is done, unless force is set.
func (s System) Undo(ctx context.Context, c Client, force bool, w io.Writer) error {
	r, dir, err := s.recorded(c)
	if err != nil {
		return err
	}
	if r == nil {
		return fmt.Errorf("%s %w", c.Name, ErrNothing)
	}
	_, unlock, err := s.open(dir == s.state(true))
	if err != nil {
		return err
	}
	defer unlock()
	if r, err = readRecord(dir, c.Name); err != nil || r == nil { // now that nobody else writes
		return errors.Join(err, fmt.Errorf("%s %w", c.Name, ErrNothing))
	}
	changes, err := r.restorations(force)
	if err != nil {
		return err
	}
	if err := commitAll(changes); err != nil {
		return advise(err)
	}
	for _, f := range r.Files {
		if f.Backup != "" {
			_ = os.Remove(f.Backup) // what it held stands in its place
		}
	}
	for _, f := range slices.Backward(r.Files) {
		removeDirectories(f.Directories)
	}
	if err := os.Remove(recordPath(dir, c.Name)); err != nil {
		return advise(err)
	}
	removeDirectories([]string{dir}) // when no other client is recorded
	for _, f := range r.Files {
		if f.Backup != "" {
			fmt.Fprintf(w, "put %s back as it was\n", f.Path)
		} else {
			fmt.Fprintf(w, "took %s away\n", f.Path)
		}
	}
	i := slices.IndexFunc(c.Places, func(p Place) bool { return p.Name == r.Place })
	if i < 0 {
		return fmt.Errorf("the files are as they were, but nothing is known of the place %q any more: restart %s yourself", r.Place, c.Name)
	}
	return s.reload(ctx, c.Places[i], w)
}

// recorded finds what was done for a client, for the host or for the user.
func (s System) recorded(c Client) (*record, string, error) {
	for _, personal := range []bool{false, true} {
		dir := s.state(personal)
		r, err := readRecord(dir, c.Name)
		if err != nil || r != nil {
			return r, dir, err
		}
	}
	return nil, "", nil
}

// PlanUndo prints what Undo would do.
func (s System) PlanUndo(c Client, force bool, w io.Writer) error {
	r, _, err := s.recorded(c)
	if err != nil {
		return err
	}
	if r == nil {
		return fmt.Errorf("%s %w", c.Name, ErrNothing)
	}
	changes, err := r.restorations(force)
	if err != nil {
		return err
	}
	for _, c := range changes {
		to := c.path
		if c.next == nil {
			to = "/dev/null"
		}
		fmt.Fprint(w, difference(c.path, c.text, to, c.next))
	}
	for _, p := range c.Places {
		if p.Name != r.Place || len(p.Reload) == 0 {
			continue
		}
		fmt.Fprintf(w, "# Then:\n    %s\n", strings.ReplaceAll(strings.Join(p.Reload, "\n    "), "$root", s.Root))
		if p.Disturbs != "" {
			fmt.Fprintf(w, "# (%s)\n", p.Disturbs)
		}
	}
	return nil
}

// restorations are the changes that put everything back; one whose next is nil takes
// its file away. What is as it was already is left out.
func (r *record) restorations(force bool) ([]change, error) {
	var changes []change
	for _, f := range r.Files {
		now, err := read(f.Target)
		if err != nil {
			return nil, advise(err)
		}
		c := change{path: f.Path, current: now}
		c.target = f.Target
		if f.Backup != "" {
			before, err := read(f.Backup)
			if err != nil {
				return nil, advise(err)
			}
			if !before.exists || sum(before.text) != f.Before {
				if now.exists && sum(now.text) == f.Before {
					continue // it was put back, and the copy taken away, before an end that came too early
				}
				return nil, fmt.Errorf("%s, the copy of %s, is gone or was changed: there is nothing to put back; take our lines out by hand, then remove the record", f.Backup, f.Path)
			}
			// Mode, owner and attributes are those of the copy.
			c.next, c.mode, c.info = append([]byte{}, before.text...), before.mode, before.info
		}
		is := ""
		if now.exists {
			is = sum(now.text)
		}
		if is == f.Before {
			continue
		}
		if (is != f.Wrote || f.Edited) && !force {
			return nil, &ChangedError{Path: f.Path, Diff: difference(f.Path+" (before)", c.next, f.Path+" (now)", now.text)}
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// commitAll makes all changes or none.
func commitAll(changes []change) (err error) {
	var ready []staged
	done := 0
	defer func() {
		for _, s := range ready {
			s.drop()
		}
		if err == nil {
			return
		}
		for _, c := range changes[:done] {
			if c.exists {
				err = errors.Join(err, replace(c.target, c.text, c.mode, c.info))
			} else {
				err = errors.Join(err, os.Remove(c.target))
			}
		}
	}()
	for _, c := range changes {
		s := staged{target: c.target}
		if c.next != nil {
			if s, err = stage(c.target, c.next, c.mode, c.info); err != nil {
				return err
			}
		}
		ready = append(ready, s)
	}
	for i, c := range changes {
		if c.next == nil {
			err = os.Remove(c.target)
		} else {
			err = ready[i].commit()
		}
		if err != nil {
			return err
		}
		done++
	}
	return nil
}
