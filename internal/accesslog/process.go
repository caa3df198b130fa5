package accesslog

import (
	"io"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Writer hands whole lines to a stream without waiting for it: what the process
// itself has to say must hold up no tunnel either. Core is what to make a
// zap.Logger of, and Change changes what that writes. Close it at the end.
type Writer struct {
	w     writer[[]byte]
	level zap.AtomicLevel
	form  atomic.Pointer[form]
}

// form is a way to write messages.
type form struct {
	encoder zapcore.Encoder // what it adds to is its clones
	mark    *encoder        // for the writer's goroutine alone
}

// NewWriter returns a writer to a stream. It takes lines of the level and above.
func NewWriter(stream io.Writer, f Format, level zapcore.Level) *Writer {
	p := &Writer{level: zap.NewAtomicLevel()}
	p.Change(f, level)
	p.w.start(&sink[[]byte]{
		out:    newStream(stream),
		encode: func(b []byte, line *[]byte) []byte { return appendEscaped(b, *line) },
		mark: func(b []byte, lost uint64) []byte {
			return p.form.Load().mark.append(b, zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), Message: "messages lost"},
				[]zapcore.Field{zap.Uint64("lost", lost)})
		},
	})
	return p
}

// Change has what follows written in a format, from a level on. It never fails.
func (p *Writer) Change(f Format, level zapcore.Level) {
	p.form.Store(&form{Encoder(f), newEncoder(f)})
	p.level.SetLevel(level)
}

// Core returns what writes a logger's messages in the format, and from the level
// on, that are in force when they are said.
func (p *Writer) Core() zapcore.Core { return &core{LevelEnabler: p.level, to: p} }

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

// core is a zapcore.Core whose encoder can change. Fields that a logger carries are
// kept as they are for that reason, and not encoded once as zap's own core does.
type core struct {
	zapcore.LevelEnabler
	to     *Writer
	fields []zapcore.Field
}

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{c.LevelEnabler, c.to, append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

func (c *core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if len(c.fields) > 0 {
		fields = append(c.fields[:len(c.fields):len(c.fields)], fields...)
	}
	line, err := c.to.form.Load().encoder.EncodeEntry(e, fields)
	if err != nil {
		return err
	}
	defer line.Free()
	_, err = c.to.Write(line.Bytes())
	return err
}

func (c *core) Sync() error { return c.to.Sync() }
