package store

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// cut gives the first n bytes, and then an error as of a connection that broke.
func cut(rest []byte, n int) io.Reader {
	return io.MultiReader(bytes.NewReader(rest[:min(n, len(rest))]), brokenReader{})
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

// hanging gives some bytes and then none, until it is closed.
type hanging struct {
	io.Reader
	closed chan struct{}
	once   sync.Once
}

func newHanging(some []byte) *hanging {
	return &hanging{Reader: bytes.NewReader(some), closed: make(chan struct{})}
}

func (h *hanging) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		<-h.closed
		err = net.ErrClosed
	}
	return n, err
}

func (h *hanging) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// whileOpen reads as long as it is not closed.
type whileOpen struct {
	io.Reader
	closed atomic.Bool
}

func (w *whileOpen) Read(p []byte) (int, error) {
	if w.closed.Load() {
		return 0, net.ErrClosed
	}
	return w.Reader.Read(p)
}

func (w *whileOpen) Close() error {
	w.closed.Store(true)
	return nil
}

type closing struct {
	io.Reader
	io.Closer
}
