// Package accesslog writes the one record that each tunnel or HTTP request
// leaves, as JSON, as text for a terminal, or in Squid's native format. When a
// record is written, and what stands in it, is decided elsewhere.
package accesslog

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/internal/track"
)

// Format is how records are written.
type Format string

const (
	JSON    Format = "json"
	Console Format = "console"
	Squid   Format = "squid"
)

// Log writes records. It is safe for concurrent use.
type Log struct {
	out    *output
	logger *zap.Logger // nil for Squid
	debug  bool
}

// Options say where and how records are written.
type Options struct {
	Format Format
	// Path is a file to append to, made with mode 0640 when it does not exist;
	// "stdout" or "" is Stdout.
	Path   string
	Stdout io.Writer
	Debug  bool // write a record when a tunnel opens, too
}

// Open returns a log. Close it at the end.
func Open(o Options) (*Log, error) {
	out := &output{}
	if o.Path == "" || o.Path == "stdout" {
		out.w = o.Stdout
	} else {
		out.path = o.Path
		if err := out.Reopen(); err != nil {
			return nil, err
		}
	}
	l := &Log{out: out, debug: o.Debug}
	if o.Format != Squid {
		level := zapcore.InfoLevel
		if o.Debug {
			level = zapcore.DebugLevel
		}
		l.logger = zap.New(zapcore.NewCore(Encoder(o.Format), out, level))
	}
	return l, nil
}

// Encoder returns zap's encoder for a format; Squid's native format has no place
// for messages, so beside it they are written as for the console.
func Encoder(f Format) zapcore.Encoder {
	c := zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", MessageKey: "msg", StacktraceKey: "stack",
		LineEnding:     zapcore.DefaultLineEnding,
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.SecondsDurationEncoder,
		EncodeTime: func(t time.Time, e zapcore.PrimitiveArrayEncoder) {
			e.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z"))
		},
	}
	if f == JSON {
		return zapcore.NewJSONEncoder(c)
	}
	return zapcore.NewConsoleEncoder(c)
}

// Record writes the record of what has ended.
func (l *Log) Record(r *track.Record) {
	if l.logger == nil {
		l.out.Write(appendSquid(nil, r, time.Now()))
		return
	}
	l.logger.Info(message(r), fields(r)...)
}

// Opened writes a record of what begins, at debug level; nil when the level is
// above it, so that nobody prepares one in vain.
func (l *Log) Opened() func(*track.Record) {
	if !l.debug || l.logger == nil {
		return nil
	}
	return func(r *track.Record) { l.logger.Debug("open", fields(r)...) }
}

func message(r *track.Record) string {
	if r.Protocol == track.HTTP {
		return "request"
	}
	return "tunnel"
}

// Reopen opens the file anew, for a log that was rotated away. Records go to the
// old one until the new one is open.
func (l *Log) Reopen() error { return l.out.Reopen() }

// Close closes the file. Without one it does nothing, and does not wait for a
// record that Stdout does not take.
func (l *Log) Close() error {
	if l.out.path == "" {
		return nil
	}
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	if l.out.file == nil {
		return nil
	}
	return l.out.file.Close()
}

// output is a file that can be reopened, or a stream. Each record is one write,
// so that lines of several writers to one pipe do not mix (POSIX write(2), up to
// PIPE_BUF).
type output struct {
	path string
	mu   sync.Mutex
	w    io.Writer
	file *os.File
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}

// Sync does nothing: records are not buffered here.
func (o *output) Sync() error { return nil }

func (o *output) Reopen() error {
	if o.path == "" {
		return nil
	}
	f, err := os.OpenFile(o.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("open access log: %w", err)
	}
	o.mu.Lock()
	old := o.file
	o.file, o.w = f, f
	o.mu.Unlock()
	if old != nil {
		old.Close()
	}
	return nil
}
