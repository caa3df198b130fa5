package accesslog

import (
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Writer hands whole lines to a stream without waiting for it: what the process
// itself has to say must hold up no tunnel either. It is a zapcore.WriteSyncer for
// encoders of this package. Close it at the end.
type Writer struct{ w writer[[]byte] }

// NewWriter returns a writer to a stream, in the format that the lines have.
func NewWriter(stream io.Writer, f Format) *Writer {
	out, _ := newOutput("", stream) // opens nothing
	p := &Writer{}
	p.w.out = out
	p.w.encode = func(b []byte, line *[]byte) []byte { return appendEscaped(b, *line) }
	e := newEncoder(f)
	p.w.mark = func(b []byte, lost uint64) []byte {
		return e.append(b, zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), Message: "messages lost"},
			[]zapcore.Field{zap.Uint64("lost", lost)})
	}
	p.w.start()
	return p
}

// Write takes a copy of a line. It never waits and never fails; what finds the
// queue full is lost.
func (p *Writer) Write(line []byte) (int, error) {
	b := append([]byte(nil), line...)
	p.w.put(&b, len(b))
	return len(line), nil
}

// Sync waits until what was written is there, at most a quarter of a second.
func (p *Writer) Sync() error {
	p.w.sync(processTime)
	return nil
}

// Close writes what waits, for at most a quarter of a second. It does not close the stream.
func (p *Writer) Close() error {
	p.w.stop(processTime)
	return nil
}
