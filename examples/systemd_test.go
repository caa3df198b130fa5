//go:build linux

package examples_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/lab"
)

// underSystemd is the relay as sluice.service and sluice.socket run it, with a
// client and an origin on other hosts.
type underSystemd struct {
	*lab.Systemd
	t             *testing.T
	client, relay *lab.Host
	origin        string
}

const relayConfiguration = `
[[listener]]
address = ":3128"
[[rule]]
name = "lab"
action = "allow"
clients = ["198.18.0.0/15"]
[egress]
allow_private = ["198.18.0.0/15"]
[limits]
new_tunnels = "100000/s"
[server]
drain = "8s"
`

func startUnderSystemd(t *testing.T) *underSystemd {
	t.Helper()
	lab.Need(t, lab.Needs{Root: true, Programs: []string{"systemctl"}})
	n := lab.New(t)
	host := func(name, addr string) *lab.Host { return n.Host(t, name, netip.MustParsePrefix(addr)) }
	u := &underSystemd{t: t, client: host("client", "198.18.0.3/15"), relay: host("relay", "198.18.0.2/15")}
	origin := host("origin", "198.18.0.4/15")
	u.origin = origin.Addr().String() + ":80"
	lab.ServeHTTP(t, origin, ":80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }))
	configuration := filepath.Join(t.TempDir(), "sluice.toml")
	if err := os.WriteFile(configuration, []byte(relayConfiguration), 0o644); err != nil {
		t.Fatal(err)
	}
	u.Systemd = lab.StartSystemd(t, u.relay, map[string]string{
		"units/sluice.service":   "sluice.service",
		"units/sluice.socket":    "sluice.socket",
		"etc/sluice/sluice.toml": configuration,
		"bin/sluice":             lab.Sluice(t),
	})
	u.Control(t, "start", "sluice.socket", "sluice.service")
	return u
}

// override sets something in the unit.
func (u *underSystemd) override(settings string) {
	u.t.Helper()
	u.Write(u.t, "/run/units/sluice.service.d/test.conf", "[Service]\n"+settings+"\n")
	u.Control(u.t, "daemon-reload")
}

// tunnel opens one to the origin.
func (u *underSystemd) tunnel() (net.Conn, error) {
	c, err := u.client.DialContext(context.Background(), "tcp", "relay:3128")
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", u.origin, u.origin)
	b := make([]byte, 512)
	n, err := c.Read(b)
	if err == nil && !strings.HasPrefix(string(b[:n]), "HTTP/1.1 200 ") {
		err = fmt.Errorf("answer %q", b[:n])
	}
	return c, err
}

// asks asks the origin for something through a tunnel.
func asks(c net.Conn, number int) error {
	path := "/" + strconv.Itoa(number)
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: origin\r\n\r\n", path)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(resp.Body)
	if err == nil && string(body) != path {
		err = fmt.Errorf("answer %q", body)
	}
	return err
}

// load has clients open tunnels until it is told to stop, which tells how many.
func (u *underSystemd) load(clients int) (stop func() int) {
	ctx, cancel := context.WithCancel(u.t.Context())
	var wg sync.WaitGroup
	counts := make([]int, clients)
	for i := range counts {
		wg.Go(func() {
			for ctx.Err() == nil {
				c, err := u.tunnel()
				if err == nil {
					err = asks(c, counts[i])
					c.Close()
				}
				if err != nil {
					u.t.Errorf("client %d, tunnel %d: %v", i, counts[i], err)
					return
				}
				counts[i]++
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return func() int {
		cancel()
		wg.Wait()
		sum := 0
		for _, n := range counts {
			sum += n
		}
		return sum
	}
}

// is waits until a property of the service is what it should be.
func (u *underSystemd) is(property, want string) {
	u.t.Helper()
	got := ""
	u.eventually(fmt.Sprintf("%s is %q", property, want), func() bool {
		got = u.Property(u.t, "sluice.service", property)
		return got == want
	})
	if got != want {
		u.t.Logf("it is %q", got)
	}
}

func (u *underSystemd) eventually(what string, is func() bool) {
	u.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			u.t.Errorf("never: %s", what)
			return
		}
	}
}

// The units are run as they are, with all that they take away from the process.
func TestTheUnitsUnderSystemd(t *testing.T) {
	u := startUnderSystemd(t)
	u.is("ActiveState", "active")
	u.is("StatusText", "serving 0 tunnels")

	t.Run("a restart refuses nobody", func(t *testing.T) {
		const restarts = 3
		before := u.Property(t, "sluice.service", "MainPID")
		stop := u.load(8)
		for n := range restarts {
			time.Sleep(200 * time.Millisecond)
			long, err := u.tunnel()
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				defer long.Close()
				for i := range 20 {
					if err := asks(long, i); err != nil {
						done <- err
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
				done <- nil
			}()
			u.Control(t, "restart", "sluice")
			if err := <-done; err != nil {
				t.Errorf("a tunnel at restart %d: %v", n, err)
			}
		}
		t.Logf("%d restarts by systemctl, %d tunnels, none refused", restarts, stop())
		if u.Property(t, "sluice.service", "MainPID") == before {
			t.Error("it was not restarted")
		}
	})

	t.Run("a reload leaves the process", func(t *testing.T) {
		before := u.Property(t, "sluice.service", "MainPID")
		u.Write(t, "/etc/sluice/sluice.toml", strings.Replace(relayConfiguration, "[[rule]]", "[[rule]]\nports = [81]", 1))
		u.Control(t, "reload", "sluice")
		u.eventually("the new rules hold", func() bool {
			c, err := u.tunnel()
			if err == nil {
				c.Close()
			}
			return err != nil && strings.Contains(err.Error(), "403 sluice: ")
		})
		u.Write(t, "/etc/sluice/sluice.toml", relayConfiguration)
		u.Control(t, "reload", "sluice")
		u.eventually("the old rules hold again", func() bool {
			c, err := u.tunnel()
			if err == nil {
				c.Close()
			}
			return err == nil
		})
		u.is("ActiveState", "active")
		u.is("MainPID", before)
	})

	t.Run("a drain may be longer than TimeoutStopSec", func(t *testing.T) {
		u.override("TimeoutStopSec=1s")
		c, err := u.tunnel()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		u.Control(t, "restart", "--no-block", "sluice")
		for i := range 25 {
			if err := asks(c, i); err != nil {
				t.Fatalf("after some %v: %v", time.Duration(i)*100*time.Millisecond, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		u.is("StatusText", "draining, 1 tunnel left")
		c.Close()
		u.Control(t, "start", "sluice")
		u.is("NRestarts", "0")
	})

	t.Run("the watchdog ends a process that hangs", func(t *testing.T) {
		u.override("WatchdogSec=1s\nRestartSec=100ms")
		u.Control(t, "restart", "sluice")
		u.Run(t, "kill", "-STOP", u.Property(t, "sluice.service", "MainPID"))
		u.is("NRestarts", "1")
		c, err := u.tunnel()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	})
}
