// Package trust is the step by which a host is told of the mirror: whose certificates
// to trust, and where to ask for images. There is one for docker, containerd and podman
// each, by the mirror's own address, and one for each by the transparent way, whose
// clients keep the names of their images and need a proxy and the authority among those
// of the system.
//
// What a client reads, and how a host is changed and changed back, is known to packages
// setup and self, whose descriptions and scripts these are.
package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"sluice/internal/mirror/authority"
	"sluice/internal/self"
	"sluice/internal/setup"
)

// Mirror is what clients are told of.
type Mirror struct {
	// Host is where they reach it, as HOST or HOST:PORT, IPv6 in brackets. It must not
	// have other characters than hosts have.
	Host string
	TLS  bool
	// Trusted says that clients trust its certificate already: the mirror's authority
	// has not signed that.
	Trusted bool
	// Login says that it asks for a name and a password. dockerd must not take it for a
	// mirror of Docker Hub then: it would answer with its user's password for that.
	Login bool
	// CA is the certificate of the mirror's authority in PEM; nil: it has none.
	CA []byte
	// Registries are those that are mirrored, as image names call them.
	Registries []string
	// Default is the one that paths without a registry are of; "": there is none.
	Default string
	// Transparent is HOST:PORT of the transparent way; "": it is off.
	Transparent string
}

// hub is the only registry that dockerd asks a mirror for.
const hub = "docker.io"

// URL returns http://HOST or https://HOST.
func (m Mirror) URL() string {
	if m.TLS {
		return "https://" + m.Host
	}
	return "http://" + m.Host
}

// transparent ends the names of those that go the transparent way.
const transparent = "-transparent"

// Names returns what Script knows: "docker", ..., and "docker-transparent", ... where
// the mirror has that way.
func Names(m Mirror) []string {
	names := []string{"docker", "containerd", "podman"}
	if !m.writes("docker") {
		names = names[1:]
	}
	if m.Transparent != "" && m.CA != nil {
		for _, n := range []string{"docker", "containerd", "podman"} {
			names = append(names, n+transparent)
		}
	}
	return names
}

// Script returns what sets a client up, to be run on its host by root, and false for a
// name that Names does not have. It carries the certificate itself, so that nothing
// has to be fetched that is not trusted yet. It may be run again and again, and takes
// back what it did with --undo.
func Script(name string, m Mirror) (script string, ok bool) {
	c, o, ok := m.client(name)
	if !ok || !m.writes(name) {
		return "", false
	}
	w := self.Words{Thing: "the mirror", Address: m.URL(), Keep: "sluice-mirror-setup", Command: "sh " + name + ".sh"}
	switch {
	case name == "docker" && m.Login:
		w.Thing = fmt.Sprintf("trust, for docker login %s and images that are named by it, in the mirror", m.Host)
	case strings.HasSuffix(name, transparent):
		w.Thing, w.Address = "the mirror as a proxy", o.Proxy.String()
	}
	w.Intro = fmt.Sprintf("Tells %s of the mirror %s. To be run by root:\n\n  %s\n\nWith --dry-run it shows what it would do, with --undo it takes all back.", c.Name, w.Address, w.Command)
	if f := m.fingerprint(name); f != "" {
		w.Intro += "\n\nIt brings the certificate of the mirror's authority, which is good for the mirror and its\nregistries alone. Its SHA-256 is\n" + f
	}
	return self.Script(c, o, w), true
}

// Text returns what a person has to do instead, and how to have the script do it.
func Text(name string, m Mirror) (text string, ok bool) {
	c, o, ok := m.client(name)
	if !ok {
		return "", false
	}
	var b strings.Builder
	if m.writes(name) {
		fmt.Fprintf(&b, "# On the client's host this does all of what follows, and takes it back with --undo:\n\n    %s\n\n", m.Command(name))
	}
	if f := m.fingerprint(name); f != "" {
		fmt.Fprintf(&b, "# The SHA-256 of the mirror's authority is\n#   %s\n\n", f)
	}
	c.Write(&b, o)
	return b.String(), true
}

// Command returns what fetches a script from the mirror and runs it. Of a mirror that
// is not trusted yet it takes nothing but the script that Script returns here: its
// SHA-256 goes with it.
func (m Mirror) Command(name string) string {
	at := m.URL() + "/setup/" + name + ".sh"
	if m.own() == nil {
		return "curl -fsS " + at + " | sudo sh"
	}
	script, _ := Script(name, m)
	sum := sha256.Sum256([]byte(script))
	file := name + ".sh"
	return fmt.Sprintf("curl -fsSk %s -o %s && echo '%s  %s' | sha256sum -c && sudo sh %s", at, file, hex.EncodeToString(sum[:]), file, file)
}

// client is the description of a client that is told of this mirror.
func (m Mirror) client(name string) (setup.Client, setup.Options, bool) {
	base, through := strings.CutSuffix(name, transparent)
	if through {
		c, ok := m.through(base)
		return c, m.options(), ok && m.Transparent != "" && m.CA != nil
	}
	switch name {
	case "docker":
		return m.docker(), m.options(), true
	case "containerd":
		return m.containerd(), m.options(), true
	case "podman":
		return m.podman(), m.options(), true
	}
	return setup.Client{}, setup.Options{}, false
}

// writes tells whether there is something to write for a client. There is nothing for a
// docker that trusts a mirror already and must not have it for one of Docker Hub.
func (m Mirror) writes(name string) bool {
	c, _, ok := m.client(name)
	return ok && slices.ContainsFunc(c.Places, func(p setup.Place) bool { return len(p.Files) > 0 })
}

// options are what package setup makes proxies' files from; files of the mirror's own
// do not look at them. The mirror itself is asked without the proxy.
func (m Mirror) options() setup.Options {
	host := (&url.URL{Host: m.Host}).Hostname()
	proxy := &url.URL{Scheme: "http", Host: m.Transparent}
	if m.Transparent == "" {
		proxy.Host = m.Host
	}
	return setup.Options{Proxy: proxy, NoProxy: unique(host, proxy.Hostname())}
}

func unique(one, other string) []string {
	if one == other {
		return []string{one}
	}
	return []string{one, other}
}

// own is the certificate that the mirror's own is signed with, where clients have to be
// told of that.
func (m Mirror) own() []byte {
	if !m.TLS || m.Trusted {
		return nil
	}
	return m.CA
}

// fingerprint is that of the certificate that a script brings, or "".
func (m Mirror) fingerprint(name string) string {
	text := m.own()
	if strings.HasSuffix(name, transparent) {
		text = m.CA
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return ""
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return ""
	}
	return authority.Fingerprint(cert)
}

// certificate is a file with the certificate of an authority, or none.
func certificate(path string, text []byte) []setup.File {
	if text == nil {
		return nil
	}
	body := string(bytes.TrimSpace(text)) + "\n"
	return []setup.File{{Path: path, Format: setup.Own, Body: func(setup.Options) string { return body }}}
}

// isLoopback tells whether the mirror is on its client's own machine.
func (m Mirror) isLoopback() bool {
	host := (&url.URL{Host: m.Host}).Hostname()
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
