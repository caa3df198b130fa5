package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// client is one that asks again and again, each time for a tunnel of its own or, as
// an HTTP client that keeps connections, for a page.
type client struct {
	ask     func() error
	times   int
	longest time.Duration
	err     error
}

func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil && c.err == nil {
		begun := time.Now()
		c.err = c.ask()
		c.times++
		c.longest = max(c.longest, time.Since(begun))
		time.Sleep(time.Millisecond)
	}
}

// throughTunnel asks for a message's way there and back.
func throughTunnel(open func(net.Addr, string) (net.Conn, error), proxy net.Addr, origin string) func() error {
	return func() error {
		c, err := open(proxy, origin)
		if err != nil {
			return err
		}
		defer c.Close()
		return trip(c)
	}
}

// forPage asks for a page of its own origin.
func forPage(t *testing.T, proxy net.Addr) func() error {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "page") }))
	t.Cleanup(origin.Close)
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: proxy.String()})}
	t.Cleanup(transport.CloseIdleConnections)
	client := http.Client{Transport: transport, Timeout: time.Minute}
	return func() error {
		resp, err := client.Get(origin.URL)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		page, err := io.ReadAll(resp.Body)
		if err == nil && string(page) != "page" {
			err = fmt.Errorf("%s: %s", resp.Status, page)
		}
		return err
	}
}

// socksTunnel opens one by SOCKS5 to an IPv4 address.
func socksTunnel(proxy net.Addr, to string) (net.Conn, error) {
	c, err := net.Dial("tcp", proxy.String())
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	host, port, err := net.SplitHostPort(to)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	io.WriteString(c, "\x05\x01\x00")
	method := make([]byte, 2)
	if _, err := io.ReadFull(c, method); err != nil {
		c.Close()
		return nil, err
	}
	request := append([]byte{5, 1, 0, 1}, net.ParseIP(host).To4()...)
	c.Write(append(request, byte(number>>8), byte(number)))
	return c, readConnected(c, "\x05\x00")
}

func TestAnUpgradeRefusesNobody(t *testing.T) {
	const clients, upgrades = 15, 3
	m, origin := newManager(t), echo(t)
	p := m.start()
	kinds := []func() error{
		throughTunnel(tunnel, m.http.Addr(), origin),
		throughTunnel(socksTunnel, m.socks.Addr(), origin),
		forPage(t, m.http.Addr()),
	}
	ctx, stop := context.WithCancel(t.Context())
	var all [clients]client
	var wg sync.WaitGroup
	for i := range all {
		all[i].ask = kinds[i%len(kinds)]
		wg.Go(func() { all[i].run(ctx) })
	}
	defer wg.Wait()
	defer stop()
	for range upgrades {
		long, err := tunnel(m.http.Addr(), origin)
		if err != nil {
			t.Fatal(err)
		}
		// As by systemctl restart: one ends, and then the next starts.
		p.Signal(syscall.SIGTERM)
		m.hears("STOPPING=1")
		for range 20 {
			if err := trip(long); err != nil {
				t.Errorf("a tunnel during the upgrade: %v", err)
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		long.Close()
		if err := p.Wait(); err != nil {
			t.Errorf("it ended with %v", err)
		}
		p = m.start()
		time.Sleep(200 * time.Millisecond)
	}
	stop()
	wg.Wait()
	if err := p.End(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	times, longest := 0, time.Duration(0)
	for i, c := range all {
		if c.err != nil {
			t.Errorf("client %d: %v", i, c.err)
		}
		times += c.times
		longest = max(longest, c.longest)
	}
	t.Logf("%d upgrades under %d clients: %d requests, %d records; the longest waited %v", upgrades, clients, times, m.records.Load(), longest.Round(time.Millisecond))
	if times < clients*(upgrades+1) {
		t.Errorf("there were %d requests, too few to show anything", times)
	}
	if want := int64(times + upgrades); m.records.Load() != want {
		t.Errorf("%d records were left of %d requests", m.records.Load(), want)
	}
}

// A connection that was accepted cannot be handed to the next process.
func TestAnUpgradeServesWhomItHasAccepted(t *testing.T) {
	m, origin := newManager(t), echo(t)
	request := fmt.Sprintf("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", origin, origin)
	for _, before := range []int{0, 1, 20} { // bytes of the request that come before the signal
		p := m.start()
		slow, err := net.Dial("tcp", m.http.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Close()
		slow.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(slow, request[:before])
		// Connections are accepted in their order.
		next, err := tunnel(m.http.Addr(), origin)
		if err != nil {
			t.Fatal(err)
		}
		next.Close()
		p.Signal(syscall.SIGTERM)
		m.hears("STOPPING=1")
		io.WriteString(slow, request[before:])
		if err := readConnected(slow, "HTTP/1.1 200 "); err != nil {
			t.Fatalf("after %d bytes: %v", before, err)
		}
		if err := trip(slow); err != nil {
			t.Error(err)
		}
		slow.Close()
		if err := p.Wait(); err != nil {
			t.Errorf("it ended with %v", err)
		}
	}
}
