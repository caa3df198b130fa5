package accesslog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Lines are written many at a time. A pipe or a terminal gets no more at once than
// POSIX keeps together (PIPE_BUF), so that lines of several writers do not mix; a
// file that is appended to keeps together what one write(2) brings.
const (
	maxChunk     = 4 << 10
	maxFileChunk = 64 << 10
)

// lineEnd ends a line, and stands nowhere within one.
const lineEnd = "\n"

// sink is where entries go, and how they are written there. It does not change; a
// log that changes is given another.
type sink[T any] struct {
	out    *output
	encode func(b []byte, entry *T) []byte    // appends one line
	mark   func(b []byte, lost uint64) []byte // appends a line on lost entries
}

// output takes lines.
type output struct {
	w     io.Writer
	file  io.Closer // nil: the stream is somebody else's
	chunk int       // bytes that are written at once, unless one line has more
	end   string    // what each line ends with
}

// newStream returns an output to what others have opened.
func newStream(stream io.Writer) *output {
	o := &output{w: stream, chunk: maxChunk, end: lineEnd}
	if f, ok := stream.(*os.File); ok {
		o.chunk = chunkOf(f)
	}
	return o
}

// openFile returns an output that appends to a file. A named pipe must have a reader:
// without O_NONBLOCK the kernel would wait for one (fifo(7)).
func openFile(path string) (*output, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o640)
	if errors.Is(err, syscall.ENXIO) {
		return nil, fmt.Errorf("open access log: nobody reads the pipe %s: %w", path, syscall.ENXIO)
	}
	if err != nil {
		return nil, fmt.Errorf("open access log: %w", err)
	}
	return &output{w: f, file: f, chunk: chunkOf(f), end: lineEnd}, nil
}

func chunkOf(f *os.File) int {
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return maxFileChunk
	}
	return maxChunk
}

// close closes what was opened. A write to a named pipe that nobody reads ends
// then; one to a disk that hangs does not.
func (o *output) close() error {
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}
