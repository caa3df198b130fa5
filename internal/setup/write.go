package setup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// staged is a file that is complete on the disk under a name of its own, and takes
// its place by a rename, which either happens or does not.
type staged struct{ temporary, target string }

// stage writes a text beside its target, with the owner and the other attributes of
// the file that it is to replace; like is nil where there is none.
func stage(target string, text []byte, mode fs.FileMode, like fs.FileInfo) (staged, error) {
	f, err := os.CreateTemp(filepath.Dir(target), ".sluice-*")
	if err != nil {
		return staged{}, err
	}
	s := staged{temporary: f.Name(), target: target}
	err = func() error {
		defer f.Close()
		if like == nil {
			if err := ownedLikeDirectory(f); err != nil {
				return err
			}
		} else if err := ownedLike(f, like, target); err != nil {
			return err
		}
		if err := f.Chmod(mode); err != nil { // after chown, which takes setuid away
			return err
		}
		if _, err := f.Write(text); err != nil {
			return err
		}
		return f.Sync()
	}()
	if err != nil {
		s.drop()
		return staged{}, err
	}
	return s, nil
}

func (s staged) commit() error {
	if err := os.Rename(s.temporary, s.target); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(s.target))
}

func (s staged) drop() { _ = os.Remove(s.temporary) } // it may be gone already

// replace writes a file at once.
func replace(target string, text []byte, mode fs.FileMode, like fs.FileInfo) error {
	s, err := stage(target, text, mode, like)
	if err != nil {
		return err
	}
	if err := s.commit(); err != nil {
		s.drop()
		return err
	}
	return nil
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// makeDirectories makes a directory and its parents, and returns those that were not
// there, outermost first.
func makeDirectories(dir string, mode fs.FileMode) (made []string, err error) {
	var missing []string
	for at := dir; ; at = filepath.Dir(at) {
		_, err := os.Stat(at)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		missing = append(missing, at)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := os.Mkdir(missing[i], mode); err != nil && !errors.Is(err, fs.ErrExist) {
			removeDirectories(made)
			return nil, err
		}
		made = append(made, missing[i])
	}
	return made, nil
}

// removeDirectories takes away those that are empty, innermost first.
func removeDirectories(dirs []string) {
	for i := len(dirs) - 1; i >= 0; i-- {
		_ = os.Remove(dirs[i]) // one that is not empty stays, as it should
	}
}
