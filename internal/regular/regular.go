// Package regular opens files that a configuration names and that are read whole:
// users, passwords, certificates. What is no regular file is refused at once, where an
// open would wait for the other end of a pipe, and a read for that of a device.
//
// Symbolic links are followed, as those by which Kubernetes swaps the files of a volume.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ErrNot is the cause of an *fs.PathError about what is there and no regular file.
var ErrNot = errors.New("not a regular file")

// Open opens a file for reading. The caller closes it; info is of what was opened.
func Open(path string) (f *os.File, info fs.FileInfo, err error) {
	// Some devices do something when they are opened.
	if info, err = os.Stat(path); err != nil {
		return nil, nil, err
	}
	if err := check(path, info); err != nil {
		return nil, nil, err
	}
	// It may be another by now: without O_NONBLOCK the kernel would wait for who writes
	// to a pipe (fifo(7)). For regular files the flag means nothing.
	if f, err = os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0); err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = check(path, info)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func check(path string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return &fs.PathError{Op: "open", Path: path, Err: ErrNot}
}

// Read returns what is in a file, which has at most so many bytes.
func Read(path string, most int64) ([]byte, error) {
	f, _, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("more than %d bytes", most)}
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}
