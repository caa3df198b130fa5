package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/internal/listen"
)

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

func get(t *testing.T, r *running, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + r.AdminAddr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestListenersComeAndGoWithAReload(t *testing.T) {
	r := run(t, base)
	to := origin(t)
	stays := r.addr()
	two := strings.Replace(base, "[[rule]]", "[[listener]]\naddress = \"127.0.0.2:0\"\nprotocol = \"http\"\n[[rule]]", 1)
	r.reload(two)
	if r.addr() != stays || len(r.Addrs()) != 2 {
		t.Fatalf("listening on %v, before on %s", r.Addrs(), stays)
	}
	added := r.Addrs()[1].String()
	c := dial(t, added, to)
	hello(t, c)
	r.reload(base)
	waitFor(t, func() bool {
		d, err := net.Dial("tcp", added)
		if err == nil {
			d.Close()
		}
		return err != nil
	})
	if _, err := io.WriteString(c, "still here"); err != nil || r.gate.Live().Len() != 1 {
		t.Errorf("the tunnel of a listener that is gone: %v, %d live", err, r.gate.Live().Len())
	}
	r.logs(`"msg":"no longer listening","address":"` + added)
	if recs := r.records(); len(recs) > 0 {
		t.Errorf("records %v", recs)
	}
}

// dial opens a tunnel through an address.
func dial(t *testing.T, proxy, to string) net.Conn {
	t.Helper()
	c, err := connectThrough(proxy, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func connectThrough(proxy, to string) (net.Conn, error) {
	c, err := net.Dial("tcp", proxy)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	const want = "HTTP/1.1 200 Connection established\r\n\r\n"
	p := make([]byte, len(want))
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to)
	if _, err := io.ReadFull(c, p); err != nil || string(p) != want {
		c.Close()
		return nil, fmt.Errorf("answer %q, %w", p, err)
	}
	return c, nil
}

// The address 127.0.0.1:p gives way to :p and back, which cannot both be listened on
// by the kernel's usual rules.
func TestAListenerGrowsToAllAddressesAndShrinksAgain(t *testing.T) {
	onSomePort(t, growsAndShrinks)
}

// onSomePort tries a test until it is done. The port that it takes is the system's choice
// for one address; on others somebody may have it, if only for a connection.
func onSomePort(t *testing.T, try func(*testing.T) (done bool)) {
	t.Helper()
	for range 10 {
		if try(t) {
			return
		}
	}
	t.Error("each port that was tried is somebody else's on other addresses")
}

func growsAndShrinks(t *testing.T) (done bool) {
	r := run(t, base)
	port := portOf(r.addr())
	to := origin(t)
	narrow, wide := "127.0.0.1:"+port, ":"+port
	for _, address := range []string{narrow, wide, "0.0.0.0:" + port, narrow} {
		r.file.Store(strings.Replace(base, "127.0.0.1:0", address, 1))
		_, err := r.Reload(context.Background())
		if errors.Is(err, syscall.EADDRINUSE) {
			return false
		}
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		hello(t, dial(t, "127.0.0.1:"+port, to))
		other, err := connectThrough("127.0.0.2:"+port, to)
		if err == nil {
			other.Close()
		}
		if wide := address != narrow; wide != (err == nil) {
			t.Errorf("%s: 127.0.0.2 says %v", address, err)
		}
		if ln, err := listen.TCP("127.0.0.3:" + port); err == nil {
			ln.Close()
			if address != narrow {
				t.Errorf("%s: others can listen there, too", address)
			}
		}
	}
	return true
}

func TestNoConnectionIsRefusedOrResetByReloadsUnderLoad(t *testing.T) {
	r := run(t, base)
	to := origin(t)
	addr := r.addr()
	var wg sync.WaitGroup
	var tunnels atomic.Int64
	over := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				c, err := connectThrough(addr, to)
				if err == nil {
					_, err = io.ReadFull(c, make([]byte, 5))
					c.Close()
				}
				if err != nil {
					t.Errorf("after %d tunnels: %v", tunnels.Load(), err)
					return
				}
				tunnels.Add(1)
			}
		})
	}
	for i := range 50 {
		file := base + fmt.Sprintf("[limits]\ndownload = \"%dMB/s\"\ntunnels = %d\nnew_tunnels = \"1000000/s\"\n", 100+i, 100+i)
		if i%2 == 1 {
			file = strings.Replace(file, "[[rule]]", "[[listener]]\naddress = \"127.0.0.2:0\"\n[[rule]]", 1)
		}
		r.reload(file)
	}
	close(over)
	wg.Wait()
	t.Logf("50 reloads among %d tunnels", tunnels.Load())
}

func TestTheAdminAddressMovesAndAnswersWhoeverMovedIt(t *testing.T) {
	r := run(t, base)
	old := r.AdminAddr().String()
	r.admin = "unix:" + filepath.Join(t.TempDir(), "admin.sock")
	resp, err := http.Post("http://"+old+"/reload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Errorf("%s %s", resp.Status, b)
	}
	if got := "unix:" + r.AdminAddr().String(); got != r.admin {
		t.Errorf("the admin address is %s", got)
	}
	if c, err := net.Dial("tcp", old); err == nil {
		c.Close()
		t.Error("the old admin address is still open")
	}
	c, err := net.Dial("unix", r.AdminAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET /healthz HTTP/1.0\r\n\r\n")
	if b, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(b), "HTTP/1.0 200") {
		t.Errorf("%q, %v", b, err)
	}
	socket := r.AdminAddr().String()
	r.admin = ""
	r.reload(base)
	if r.AdminAddr() != nil {
		t.Error("the admin address is still open")
	}
	if _, err := os.Stat(socket); err == nil {
		t.Error("its socket was left behind")
	}
	r.admin = "127.0.0.1:0"
	r.reload(base)
	if s := get(t, r, "/readyz"); s != "ok\n" {
		t.Errorf("readyz says %q", s)
	}
}
