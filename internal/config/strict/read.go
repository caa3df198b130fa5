package strict

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// MaxFile is the longest file that is read, in bytes: some three million names.
const MaxFile = 64 << 20

// ReadFile returns the text of a configuration file. Its error wraps the operating
// system's, such as fs.ErrNotExist.
func ReadFile(path string) (string, *Error) {
	text, err := readFile(path)
	if err == nil {
		return text, nil
	}
	e := &Error{File: path, Problem: "cannot be read: " + err.Error(), cause: err}
	var perr *fs.PathError
	if errors.As(err, &perr) {
		e.Problem = "cannot be read: " + perr.Err.Error()
	}
	return "", e
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var text strings.Builder
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Mode().IsRegular() {
		text.Grow(int(min(info.Size(), MaxFile) + 1)) // a long file is not copied as it grows
	}
	if _, err := io.Copy(&text, io.LimitReader(f, MaxFile+1)); err != nil {
		return "", err
	}
	if text.Len() > MaxFile {
		return "", fmt.Errorf("it is longer than %d MiB", MaxFile>>20)
	}
	if text.Len() == 0 && info.Mode()&fs.ModeNamedPipe != 0 {
		return "", errRead // and no wish for the defaults
	}
	return text.String(), nil
}

// errRead is that of a second reading of what can be read once.
var errRead = errors.New("it is a pipe that has nothing, or nothing any more")
