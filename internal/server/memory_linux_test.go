package server

import (
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mostOfAHandshake is what the reference says that a connection costs the process
// before its request, in bytes.
const mostOfAHandshake = 8 << 10

func TestAConnectionWithoutARequestCostsWhatTheReferenceSays(t *testing.T) {
	text, err := os.ReadFile("../config/REFERENCE.md")
	if err != nil || !strings.Contains(string(text), "| a connection that has sent nothing | 8 KiB |") {
		t.Errorf("the reference has another figure (%v)", err)
	}
	const n = 1000
	r := run(t, base+"[limits]\nhandshakes = 100000\n[server]\nmax_handshakes = 4000\n")
	r.silent("127.0.0.2", 10) // what is made once
	before := inUse()
	addr := net.TCPAddrFromAddrPort(r.Addrs()[0])
	for i := range n { // without the Go library, whose connections would be measured too
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		to := &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}
		if err := unix.Connect(fd, to); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	waitFor(t, func() bool { c, _ := r.waiting.Len(); return c == n+10 })
	each := (inUse() - before) / n
	t.Logf("%d bytes each", each)
	if each > mostOfAHandshake {
		t.Errorf("a connection takes %d bytes, over %d", each, mostOfAHandshake)
	}
}

// inUse is the memory of the heap and of stacks.
func inUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}
