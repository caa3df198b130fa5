package setup

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/proxy"
)

// longestAsk bounds the question whether a relay lets this host through. Its own
// search for the destination takes up to 10 s by default.
const longestAsk = 15 * time.Second

// anywhere is asked for where a client has no first destination of its own. The name
// is RFC 2606's.
const anywhere = "example.com:443"

// Reach asks the proxy for the client's first destination, and tells what stands in
// the way: nobody listens there, or it refuses this host. A proxy that lets this host
// through but does not reach the destination itself is no fault of the settings;
// what it says is returned as a remark.
func Reach(ctx context.Context, c Client, o Options) (remark string, err error) {
	ctx, cancel := context.WithTimeout(ctx, longestAsk)
	defer cancel()
	destination := c.Destination
	if destination == "" {
		destination = anywhere
	}
	if o.SOCKS() {
		return "", o.reachSOCKS(ctx, destination)
	}
	conn, err := o.dial(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	status, err := connect(conn, o.Proxy, destination)
	if err != nil {
		return "", fmt.Errorf("what listens on %s is no HTTP proxy (%w): look at --proxy", o.Address(), err)
	}
	code, sentence, _ := strings.Cut(status, " ")
	switch {
	case strings.HasPrefix(code, "2"):
		return "", nil
	case strings.HasPrefix(code, "5"), code == "429":
		return fmt.Sprintf("the relay lets this host through, but says of %s: %s", destination, status), nil
	case code == "407":
		return "", fmt.Errorf("the relay wants a user and a password (%s): write them into --proxy as http://USER:PASSWORD@%s", status, o.Address())
	case c.Destination == "" && strings.Contains(sentence, "admits this client"):
		return fmt.Sprintf("the relay lets this host through, but not to %s: %s", destination, sentence), nil
	}
	return "", fmt.Errorf("the relay refuses this host (%s): have its rules let this host reach %s", status, destination)
}

func (o Options) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", o.Address())
	if err != nil {
		return nil, o.unreachable(err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

func (o Options) unreachable(err error) error {
	return fmt.Errorf("the relay cannot be reached (%w): see that it runs, and that no firewall is between", err)
}

// connect sends CONNECT and returns the status of the answer: code and reason, in
// which Sluice says why it refuses.
func connect(conn net.Conn, through *url.URL, destination string) (status string, err error) {
	head := "CONNECT " + destination + " HTTP/1.1\r\nHost: " + destination + "\r\nUser-Agent: sluice-setup\r\n"
	if user := through.User; user != nil {
		password, _ := user.Password()
		head += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return "", err
	}
	const longestAnswer = 64 << 10
	answer := bufio.NewReader(io.LimitReader(conn, longestAnswer))
	response, err := http.ReadResponse(answer, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return "", err
	}
	response.Body.Close()
	return textproto.TrimString(printable(response.Status)), nil
}

// printable keeps what a stranger says from playing with the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}

func (o Options) reachSOCKS(ctx context.Context, destination string) error {
	var auth *proxy.Auth
	if o.Secret() {
		name, password := o.user()
		auth = &proxy.Auth{User: name, Password: password}
	}
	to := &opened{options: o}
	dialer, err := proxy.SOCKS5("tcp", o.Address(), auth, to)
	if err != nil {
		return err
	}
	conn, err := dialer.(proxy.ContextDialer).DialContext(ctx, "tcp", destination)
	switch {
	case err == nil:
		conn.Close()
		return nil
	case !to.done:
		return err
	case strings.Contains(err.Error(), "not allowed by ruleset"):
		return fmt.Errorf("the relay refuses this host (%w): have its rules let this host reach %s", err, destination)
	case strings.Contains(err.Error(), "username"), strings.Contains(err.Error(), "authentication"):
		return fmt.Errorf("the relay wants another user and password (%w): write them into --proxy as socks5://USER:PASSWORD@%s", err, o.Address())
	}
	return fmt.Errorf("the relay did not open a way to %s (%w): see whether it speaks SOCKS5 on this port, and its log", destination, err)
}

// opened tells whether the proxy itself was reached.
type opened struct {
	options Options
	done    bool
}

func (d *opened) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := d.options.dial(ctx)
	d.done = err == nil
	return conn, err
}

func (d *opened) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}
