package systemd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// listening returns a socket as the manager opens it. v6only is IPV6_V6ONLY of an
// IPv6 socket.
func listening(t *testing.T, network, address string, v6only bool) *os.File {
	t.Helper()
	lc := net.ListenConfig{Control: func(network, _ string, raw syscall.RawConn) error {
		var err error
		raw.Control(func(fd uintptr) {
			if network == "tcp6" {
				only := 0
				if v6only {
					only = 1
				}
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
			}
		})
		return err
	}}
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	defer ln.Close()
	return fileOf(t, ln)
}

func fileOf(t *testing.T, conn any) *os.File {
	t.Helper()
	f, err := conn.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// inherit makes the sockets those of this process, under the names a, b, ….
func inherit(t *testing.T, files ...*os.File) *Sockets {
	t.Helper()
	s := &Sockets{}
	for i, f := range files {
		socket, err := inspect(f)
		if err != nil {
			t.Fatal(err)
		}
		socket.Name = string(rune('a' + i))
		s.all = append(s.all, socket)
	}
	t.Cleanup(s.Close)
	return s
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

func TestASocketServesTheAddressThatItIsBoundTo(t *testing.T) {
	port, path := freePort(t), filepath.Join(t.TempDir(), "admin.sock")
	cases := []struct {
		network, address string
		v6only           bool
		fits, not        []string
	}{
		{"tcp6", "[::]:" + port, false, []string{":" + port, "[::]:" + port}, []string{"0.0.0.0:" + port, "127.0.0.1:" + port, ":1", ":0"}},
		{"tcp6", "[::]:" + port, true, nil, []string{":" + port, "0.0.0.0:" + port}},
		{"tcp4", "0.0.0.0:" + port, false, []string{"0.0.0.0:" + port, ":" + port}, []string{"127.0.0.1:" + port, "[::1]:" + port}},
		{"tcp4", "127.0.0.1:" + port, false, []string{"127.0.0.1:" + port, "localhost:" + port}, []string{":" + port, "127.0.0.2:" + port, "127.0.0.1:0", "unix:127.0.0.1:" + port}},
		{"tcp6", "[::1]:" + port, false, []string{"[::1]:" + port}, []string{":" + port, "127.0.0.1:" + port}},
		{"unix", path, false, []string{"unix:" + path}, []string{"unix:" + path + "2", path, ":" + port}},
	}
	for _, c := range cases {
		name := c.address
		if c.v6only {
			name += " IPv6 only"
		}
		t.Run(name, func(t *testing.T) {
			s := inherit(t, listening(t, c.network, c.address, c.v6only))
			for _, address := range c.fits {
				ln, err := s.Listen(address)
				if err != nil || ln == nil {
					t.Errorf("no listener for %s: %v", address, err)
					continue
				}
				if got := ln.Addr().String(); got != c.address {
					t.Errorf("for %s it listens on %s", address, got)
				}
				ln.Close()
			}
			for _, address := range c.not {
				if ln, err := s.Listen(address); ln != nil || err != nil {
					t.Errorf("for %s it gives %v, %v", address, ln, err)
				}
			}
		})
	}
}

func TestTheSocketOfBothFamiliesGoesBeforeThatOfOne(t *testing.T) {
	port := freePort(t)
	s := inherit(t, listening(t, "tcp4", "0.0.0.0:"+port, false), listening(t, "tcp6", "[::]:"+port, true))
	if i := s.find(":" + port); i != 0 {
		t.Errorf("socket %d serves all addresses, and not that of IPv4", i)
	}
	if got := s.Unused([]string{":" + port}); len(got) != 1 || got[0].String() != "[::]:"+port+" (IPv6 only) (b)" {
		t.Errorf("unused: %v", got)
	}
}

func TestSocketsThatNobodyAskedForAreNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := inherit(t, listening(t, "tcp4", "127.0.0.1:0", false), listening(t, "unix", path, false))
	if got := s.Unused([]string{"unix:" + path}); len(got) != 1 || got[0].Name != "a" || !strings.HasPrefix(got[0].String(), "127.0.0.1:") {
		t.Errorf("unused: %v", got)
	}
	if got := s.Unused([]string{s.all[0].Addr.String(), "unix:" + path}); got != nil {
		t.Errorf("unused: %v", got)
	}
}

func TestWhatCannotBeListenedOnIsRefused(t *testing.T) {
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	tcp, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	seqpacket, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer seqpacket.Close()
	for _, c := range []struct {
		file *os.File
		what string
	}{
		{fileOf(t, udp), "a datagram socket"},
		{fileOf(t, tcp), "a connection"},
		{fileOf(t, seqpacket), "a socket of type 5"},
		{r, "no socket"},
	} {
		_, err := inspect(c.file)
		if wrong := new(WrongSocketError); !errors.As(err, &wrong) || wrong.What != c.what {
			t.Errorf("%s is told as: %v", c.what, err)
		}
	}
}

func TestClosingAListenerLeavesTheQueueToTheNext(t *testing.T) {
	s := inherit(t, listening(t, "tcp4", "127.0.0.1:0", false))
	address := s.all[0].Addr.String()
	first, err := s.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	first.Close()
	late, err := net.Dial("tcp", address) // while nobody listens here
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()

	second, err := s.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	for _, c := range []net.Conn{waiting, late} {
		got, err := second.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got.RemoteAddr().String() != c.LocalAddr().String() {
			t.Errorf("accepted %v, not %v", got.RemoteAddr(), c.LocalAddr())
		}
		got.Close()
	}
}

func TestClosingAUnixListenerLeavesItsPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := inherit(t, listening(t, "unix", path, false))
	ln, err := s.Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	s.Close()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestNoSocketsServeNothing(t *testing.T) {
	for _, s := range []*Sockets{nil, {}} {
		if ln, err := s.Listen(":3128"); ln != nil || err != nil {
			t.Errorf("%v, %v", ln, err)
		}
		if s.Unused([]string{":3128"}) != nil {
			t.Error("there is one unused")
		}
		s.Close()
	}
}

func TestTheEnvironmentTellsOfSocketsOnce(t *testing.T) {
	for _, c := range []struct{ pid, count string }{
		{strconv.Itoa(os.Getppid()), "2"}, // meant for another process
		{strconv.Itoa(os.Getpid()), "0"},
		{"", ""},
	} {
		t.Setenv("LISTEN_PID", c.pid)
		t.Setenv("LISTEN_FDS", c.count)
		t.Setenv("LISTEN_FDNAMES", "a:b")
		s, err := Inherited()
		if err != nil || len(s.all) != 0 {
			t.Errorf("%+v: %v, %v", c, s, err)
		}
		for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
			if _, set := os.LookupEnv(name); set {
				t.Errorf("%s is left", name)
			}
		}
	}
}
