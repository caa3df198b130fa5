package suggest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longestLine is the longest line that is taken for a record, in bytes. Records are
// shorter: a path has a kilobyte at most.
const longestLine = 64 << 10

// Read reads a log to its end. What is compressed by gzip, as rotated logs are, is
// known by its first bytes. Lines that are no records are counted. The error is
// ErrTooMany or one of reading.
func (s *Seen) Read(name string, r io.Reader) error {
	in := bufio.NewReaderSize(r, longestLine)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) { // RFC 1952, section 2.3.1
		z, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		in = bufio.NewReaderSize(z, longestLine)
	}
	for n := 1; ; n++ {
		line, err := readLine(in)
		if err != nil && err != io.EOF {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			if err := s.line(line); err != nil {
				return err
			}
			if s.left.malformed == 1 && s.left.first == "" {
				s.left.first = fmt.Sprintf("%s:%d", name, n)
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// readLine returns the next line, valid until the next call. One that is too long is
// cut, and so is no record.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = in.ReadSlice('\n')
	}
	return []byte("..."), err
}

// line takes one line in.
func (s *Seen) line(line []byte) error {
	e, err := parse(line)
	switch {
	case err == nil:
		return s.add(&e)
	case errors.Is(err, errOther):
		s.left.others++
	case errors.Is(err, errUnread):
		s.left.unread++
		s.records++
	case errors.Is(err, errUser):
		s.left.users++
		s.records++
	case errors.Is(err, errScheme):
		s.left.schemes++
		s.records++
	default:
		s.left.malformed++
	}
	return nil
}

// parse reads a record of either format.
func parse(line []byte) (entry, error) {
	e, err := entry{}, errMalformed
	switch c := bytes.TrimLeft(line, " \t")[0]; {
	case c == '{':
		e, err = parseJSON(line)
	case '0' <= c && c <= '9':
		e, err = parseSquid(string(line))
	}
	if err == nil && !isUser(e.user) {
		err = errUser
	}
	return e, err
}

// isUser tells whether a name can be in a configuration file, or is none.
func isUser(name string) bool {
	return utf8.ValidString(name) && !strings.ContainsRune(name, ':') && !strings.ContainsFunc(name, unicode.IsControl) && len(name) <= 255
}
