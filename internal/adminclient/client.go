// Package adminclient asks a running proxy over its admin address: whether it is
// well, what passes through it now, and its feed of events. What is shown of that,
// and how, is left to the caller.
package adminclient

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Client asks one admin address. It may be used by several goroutines at once.
type Client struct {
	address string
	http    http.Client
}

// host is what requests name: the admin interface answers to few names, against
// DNS rebinding, and this one is always among them.
const host = "localhost"

// maxAnswer is the longest answer that is read, in bytes. A list of 200,000
// tunnels has some 100 MB.
const maxAnswer = 256 << 20

// dialTime is far more than a program on the same machine needs.
const dialTime = 5 * time.Second

// New returns a client for "host:port", of which the host may be left out or be a
// wildcard, or for "unix:/path". Close must follow.
func New(address string) *Client {
	network, target := "tcp", Local(address)
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, target = "unix", path
	}
	return &Client{address: address, http: http.Client{
		// No proxy: the environment's may be this one.
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: dialTime}).DialContext(ctx, network, target)
			},
		},
		// The admin interface sends nobody elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Local turns a wildcard address into one that can be dialled.
func Local(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err == nil && (host == "" || host == "0.0.0.0" || host == "::") {
		return net.JoinHostPort("localhost", port)
	}
	return address
}

// Address returns what New was given.
func (c *Client) Address() string { return c.address }

// Close closes connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is an answer other than 2xx.
type Error struct {
	Status   int
	Sentence string // what the proxy says, or the status in words
}

func (e *Error) Error() string { return e.Sentence }

// Healthy returns nil if the proxy says that it is well.
func (c *Client) Healthy(ctx context.Context) error {
	_, err := c.ask(ctx, http.MethodGet, "/healthz", nil)
	if e := (*Error)(nil); errors.As(err, &e) {
		return fmt.Errorf("%s answers %d %s", c.address, e.Status, http.StatusText(e.Status))
	}
	return err
}

// Get asks for a path and decodes the JSON that comes into answer. The error is
// *Error if the proxy refuses.
func (c *Client) Get(ctx context.Context, path string, query url.Values, answer any) error {
	return c.decode(ctx, http.MethodGet, path, query, answer)
}

// Delete is Get with the method DELETE.
func (c *Client) Delete(ctx context.Context, path string, query url.Values, answer any) error {
	return c.decode(ctx, http.MethodDelete, path, query, answer)
}

// Post is Get with the method POST.
func (c *Client) Post(ctx context.Context, path string, query url.Values, answer any) error {
	return c.decode(ctx, http.MethodPost, path, query, answer)
}

// maxLine is the longest line of an answer in lines, in bytes.
const maxLine = 1 << 20

// PostLines has a POST whose answer is lines of text, and takes each as it comes. The
// error is *Error if the proxy refuses, or that of take, which ends the reading.
func (c *Client) PostLines(ctx context.Context, path string, query url.Values, take func(line []byte) error) error {
	resp, err := c.do(ctx, http.MethodPost, path, query)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := take(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the answer to POST %s: %w", path, err)
	}
	return nil
}

func (c *Client) decode(ctx context.Context, method, path string, query url.Values, answer any) error {
	b, err := c.ask(ctx, method, path, query)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// ask returns the body of a 2xx answer.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values) ([]byte, error) {
	resp, err := c.do(ctx, method, path, query)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("the answer to %s %s: %w", method, path, err)
	}
	return b, nil
}

// do returns a 2xx answer, whose body the caller closes.
func (c *Client) do(ctx context.Context, method, path string, query url.Values) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: host, Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		// The cause names the address that was dialled; the URL does not.
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(resp, path)
}

// refusal reads {"error": "…"}. When the proxy does not run, any user of the machine
// may answer in its place; what a terminal would obey is not taken over.
func refusal(resp *http.Response, path string) error {
	var body struct{ Error string }
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && json.Unmarshal(b, &body) == nil && body.Error != "" {
		return &Error{resp.StatusCode, strings.Map(printable, body.Error)}
	}
	return &Error{resp.StatusCode, fmt.Sprintf("it answers %d %s to %s",
		resp.StatusCode, strings.ToLower(http.StatusText(resp.StatusCode)), path)}
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}
