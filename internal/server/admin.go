package server

import (
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// admin answers health checks. It never shares an address with a proxy listener.
type admin struct {
	listener net.Listener
	server   *http.Server
	wg       sync.WaitGroup
}

// openAdmin listens on "host:port" or "unix:/path".
func openAdmin(address string, s *Server) (*admin, error) {
	var ln net.Listener
	var err error
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		ln, err = listenUnix(path)
	} else {
		ln, err = listenTCP(address)
	}
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s.gate.Draining() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n"))
	})
	return &admin{listener: ln, server: &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
	}}, nil
}

func listenUnix(path string) (net.Listener, error) {
	ln, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(path) && os.Remove(path) == nil {
		return net.Listen("unix", path)
	}
	return ln, err
}

// abandoned tells whether a path is a socket that nobody listens on: it stays
// behind when a process is killed, and would keep each later one from starting.
func abandoned(path string) bool {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

func (a *admin) start() {
	a.wg.Add(1)
	go func() {
		defer a.wg.Done()
		a.server.Serve(a.listener)
	}()
}

func (a *admin) close() {
	a.server.Close()
	a.listener.Close() // when it was never served
	a.wg.Wait()
}
