package accesslog

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// Lines are written many at a time. A pipe or a terminal gets no more at once than
// POSIX keeps together (PIPE_BUF), so that lines of several writers do not mix; a
// file that is appended to keeps together what one write(2) brings.
const (
	maxChunk     = 4 << 10
	maxFileChunk = 64 << 10
)

// output is a file that can be reopened, or a stream.
type output struct {
	path string

	mu         sync.Mutex
	w          io.Writer
	file       *os.File
	chunk      int
	generation int // of the file
}

func newOutput(path string, stream io.Writer) (*output, error) {
	o := &output{}
	if path != "" {
		o.path = path
		f, err := o.open()
		if err != nil {
			return nil, err
		}
		o.use(f)
		return o, nil
	}
	o.w, o.chunk = stream, maxChunk
	if f, ok := stream.(*os.File); ok {
		o.chunk = chunkOf(f)
	}
	return o, nil
}

func chunkOf(f *os.File) int {
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return maxFileChunk
	}
	return maxChunk
}

func (o *output) open() (*os.File, error) {
	f, err := os.OpenFile(o.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open access log: %w", err)
	}
	return f, nil
}

// use writes to f from now on and closes the file before it.
func (o *output) use(f *os.File) {
	o.mu.Lock()
	old := o.file
	o.file, o.w, o.chunk = f, f, chunkOf(f)
	o.generation++
	o.mu.Unlock()
	if old != nil {
		old.Close()
	}
}

// now returns what is written to.
func (o *output) now() (w io.Writer, chunk, generation int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w, o.chunk, o.generation
}

// close closes the file. A write to a named pipe that nobody reads ends then; one
// to a disk that hangs does not.
func (o *output) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}
