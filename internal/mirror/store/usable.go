//go:build unix

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Usable returns the error with which Open would refuse a directory to this process, as
// far as that can be told without making or changing anything; nil: it would take it.
// That another process has it is no error, for a mirror may run there. Root is not told
// of directories that belong to others, among them the mirror's own user.
func Usable(dir string) error {
	if err := makeable(dir); err != nil {
		return fmt.Errorf("make the cache directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("open the cache directory: %w", err)
	}
	defer root.Close()
	info, err := root.Stat(".")
	if err != nil {
		return fmt.Errorf("look at the cache directory: %w", err)
	}
	me := os.Geteuid()
	if me != 0 || info.Sys().(*syscall.Stat_t).Uid == 0 {
		if err := ours(root, dir); err != nil {
			return err
		}
	}
	if err := lockable(dir); err != nil {
		return fmt.Errorf("open the lock of the cache directory: %w", &fs.PathError{Op: "openat", Path: lockName, Err: err})
	}
	return nil
}

// makeable returns the error of os.MkdirAll.
func makeable(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return err
	}
	if err := makeable(parent); err != nil {
		return err
	}
	if !exists(parent) { // it would be made as well, and belong to this process
		return nil
	}
	if exists(dir) { // a link that leads nowhere
		return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.EEXIST}
	}
	if err := access(parent, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: err}
	}
	return nil
}

// lockable returns the error of opening the lock, or of making it.
func lockable(dir string) error {
	lock := filepath.Join(dir, lockName)
	if exists(lock) {
		return access(lock, unix.R_OK|unix.W_OK)
	}
	return access(dir, unix.W_OK|unix.X_OK)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// access asks for the rights of the effective user, as an open does.
func access(path string, mode uint32) error {
	return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
}
