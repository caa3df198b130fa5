package doctor

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"sluice/internal/presets"
)

// Target is a destination to examine.
type Target struct {
	Host string // name or address, without brackets
	Port uint16
	Why  string // where it comes from: "named", "@docker-hub", "token", "redirect"

	// Needed says that the verdict hangs on this host. A preset's hosts are not all
	// needed: Docker Hub chooses one of several for its blobs.
	Needed bool
}

// Where a target comes from, beside presets.
const (
	whyNamed    = "named"
	whyToken    = "token"
	whyRedirect = "redirect"
)

// String is the target as HOST:PORT.
func (t Target) String() string { return net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))) }

// urlHost is the target as a URL for its port writes it.
func (t Target) urlHost() string {
	if t.Port != 80 && t.Port != 443 {
		return t.String()
	}
	return strings.TrimSuffix(net.JoinHostPort(t.Host, ""), ":")
}

const hubRegistry = "registry-1.docker.io"

// DockerHub are the hosts of the preset @docker-hub.
func DockerHub() []Target {
	targets, _ := fromPreset("docker-hub")
	return targets
}

// ParseTargets reads what a user names: HOST, HOST:PORT or @preset. The port is
// 443 where none is given.
func ParseTargets(args []string) ([]Target, error) {
	var targets []Target
	for _, arg := range args {
		if name, ok := strings.CutPrefix(arg, "@"); ok {
			found, ok := fromPreset(name)
			if !ok {
				return nil, fmt.Errorf("there is no preset %q; there are %s", name, strings.Join(presets.Names(), ", "))
			}
			targets = append(targets, found...)
			continue
		}
		t, err := parseTarget(arg)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// fromPreset are a preset's hosts; a pattern names none that could be asked.
func fromPreset(name string) ([]Target, bool) {
	p, ok := presets.Lookup(name)
	var targets []Target
	for i, h := range p.Hosts {
		if strings.HasPrefix(h.Name, "*") || strings.HasPrefix(h.Name, ".") {
			continue
		}
		// The indispensable ones stand first in each preset.
		targets = append(targets, Target{Host: h.Name, Port: 443, Why: "@" + name, Needed: i == 0})
	}
	return targets, ok
}

var hostPattern = regexp.MustCompile(`^[a-zA-Z0-9_]([a-zA-Z0-9._-]{0,252})$`)

// isHost says that a text is a name or an address: nothing that a shell would take
// for more, where a command is printed to be copied.
func isHost(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil && !strings.Contains(text, "%") || hostPattern.MatchString(text)
}

func parseTarget(arg string) (Target, error) {
	t := Target{Host: strings.Trim(arg, "[]"), Port: 443, Why: whyNamed, Needed: true}
	if host, port, err := net.SplitHostPort(arg); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return t, fmt.Errorf("%q has no port from 1 to 65535", arg)
		}
		t.Host, t.Port = host, uint16(n)
	}
	if !isHost(t.Host) {
		return t, fmt.Errorf("%q is neither HOST, HOST:PORT nor @preset", arg)
	}
	t.Host = strings.ToLower(strings.TrimSuffix(t.Host, "."))
	return t, nil
}

// Image is an image of a registry, of which a part is pulled.
type Image struct {
	Registry   string // HOST:PORT; "": whichever registry is examined
	Repository string
	Reference  string // tag or digest
}

var imagePattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+|/)[a-z0-9]+)*$`)

// ParseImage reads NAME[:TAG] as docker pull does: a first part with a dot or a
// colon is the registry, a name without a slash is one of Docker's own.
func ParseImage(text string) (Image, error) {
	i := Image{Repository: text, Reference: "latest"}
	if name, digest, ok := strings.Cut(i.Repository, "@"); ok {
		i.Repository, i.Reference = name, digest
	} else if at := strings.LastIndex(text, ":"); at > strings.LastIndex(text, "/") {
		i.Repository, i.Reference = text[:at], text[at+1:]
	}
	first, rest, slash := strings.Cut(i.Repository, "/")
	switch {
	case slash && strings.ContainsAny(first, ".:"):
		t, err := parseTarget(first)
		if err != nil {
			return i, err
		}
		i.Registry, i.Repository = t.String(), rest
		if t.Host == "docker.io" || t.Host == "index.docker.io" {
			i.Registry = hubRegistry + ":443"
		}
	case !slash:
		i.Repository = "library/" + i.Repository
	}
	if !imagePattern.MatchString(i.Repository) || !regexp.MustCompile(`^[\w.:-]{1,135}$`).MatchString(i.Reference) {
		return i, fmt.Errorf("%q is no name of an image", text)
	}
	return i, nil
}

// Target is the image's registry, if the name has one.
func (i Image) Target() (Target, bool) {
	t, err := parseTarget(i.Registry)
	return t, err == nil && i.Registry != ""
}

func (i Image) orDefault() Image {
	if i.Repository == "" {
		return Image{Repository: "library/hello-world", Reference: "latest"}
	}
	return i
}

// admittedBy names the narrowest preset that has a host; "": none has.
func admittedBy(host string) string {
	if names := presets.For(host); len(names) > 0 {
		return "@" + names[0]
	}
	return ""
}
