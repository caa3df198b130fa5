// Package self is what the proxy answers for itself, on the port that it proxies on:
// a page about the client that asks, a script for each program that shall use the
// proxy, and a PAC file for browsers. A client learns what is its own and nothing of
// others: not their addresses, not their rules.
//
// Who is answered at all is decided elsewhere, and so is how an answer is written to
// a connection. What programs have to be told is package setup's to know.
package self

import (
	"fmt"
	"net/url"
	"strings"

	"sluice/acl"
	"sluice/forward"
	"sluice/internal/setup"
)

// Pages answer requests to the proxy itself. They are safe for concurrent use.
type Pages struct {
	// Policy returns the rules in force.
	Policy func() *acl.Policy
}

const (
	plain   = "text/plain; charset=utf-8"
	html    = "text/html; charset=utf-8"
	pacType = "application/x-ns-proxy-autoconfig"
)

// Answer answers one request.
func (p *Pages) Answer(r forward.SelfRequest) forward.SelfAnswer {
	proxy, err := setup.ParseProxy("http://" + r.Host.Join(r.Port))
	if err != nil {
		return missing("The Host field of the request does not say where this proxy is.")
	}
	client, isScript := strings.CutPrefix(r.Path, "/setup/")
	switch {
	case r.Path == "/":
		return p.page(r, proxy)
	case r.Path == "/proxy.pac":
		return found(pacType, pac(p.Policy().For(r.Client), proxy.Host))
	case r.Path == "/setup", isScript && client == "":
		return found(plain, list(proxy))
	case isScript:
		return script(client, r.Query, proxy)
	}
	return missing("There is nothing under this path: / tells what there is.")
}

func found(contentType, body string) forward.SelfAnswer {
	return forward.SelfAnswer{ContentType: contentType, Body: []byte(body)}
}

func missing(sentence string) forward.SelfAnswer {
	return forward.SelfAnswer{Missing: true, ContentType: plain, Body: []byte(sentence + "\n")}
}

// list has the line of each client.
func list(proxy *url.URL) string {
	var b strings.Builder
	for _, c := range setup.Clients() {
		fmt.Fprintf(&b, "# %s\n%s\n", c.Purpose, command(proxy.String(), c))
	}
	return b.String()
}

// command is what sets a client up, on its own machine.
func command(proxy string, c setup.Client) string {
	shell := "sudo sh"
	if personal(c) {
		shell = "sh"
	}
	return fmt.Sprintf("curl -fsS %s/setup/%s | %s", proxy, c.Name, shell)
}

// personal tells whether all of a client's files are its user's own.
func personal(c setup.Client) bool {
	for _, p := range c.Places {
		for _, f := range p.Files {
			if !strings.HasPrefix(f.Path, "~/") {
				return false
			}
		}
	}
	return true
}
