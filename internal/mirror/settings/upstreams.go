package settings

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"sluice/acl"
	"sluice/internal/config/strict"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/upstream"
)

// Docker Hub is called by a name that no registry answers to, and its images by two
// others.
const dockerHub = "docker.io"

func dockerHubAliases() []string { return []string{"index.docker.io", "registry-1.docker.io"} }

const dockerHubURL = "https://registry-1.docker.io"

// upstreams takes those of the flags, of the file, or Docker Hub.
func (b *builder) upstreams() {
	list := b.file.Upstream
	at := func(i int) strict.Where { return strict.InFile("upstream", i) }
	switch {
	case len(b.flags.Upstream) > 0:
		list = nil
		for _, s := range b.flags.Upstream {
			name, url, _ := strings.Cut(s, "=")
			list = append(list, fileUpstream{Name: name, URL: url})
		}
		at = func(int) strict.Where { return strict.OnFlag("--upstream") }
	case len(list) == 0:
		list = []fileUpstream{{Name: dockerHub}}
		at = func(int) strict.Where { return strict.InFile("upstream") }
	}
	seen := make(map[string]bool)
	for i, u := range list {
		b.upstream(u, at(i), seen)
	}
	b.chooseDefault(list, at)
}

func (b *builder) upstream(u fileUpstream, at strict.Where, seen map[string]bool) {
	out := Upstream{Username: u.Username, PasswordFile: u.PasswordFile, PasswordEnv: u.PasswordEnv, Helper: u.Helper, CA: u.CA, Default: u.Default, TagTTL: b.config.Cache.TagTTL}
	out.Name = b.upstreamName(u.Name, at, seen)
	if out.Name == dockerHub {
		out.Aliases = dockerHubAliases()
	}
	if out.URL = b.upstreamURL(u.URL, out.Name, at.Sub("url")); out.URL != nil {
		b.warnPlain(u, out.URL, at)
	}
	b.credentials(u, at)
	out.Realm = b.realm(u.Realm, at.Sub("realm"))
	if u.CA != "" {
		b.absolute(u.CA, at.Sub("ca"), "/etc/sluice/registry-ca.pem")
	}
	proxy, place := u.Proxy, at.Sub("proxy")
	if b.flags.Proxy != "" {
		proxy, place = b.flags.Proxy, strict.OnFlag("--proxy")
	}
	out.Proxy = b.proxy(proxy, place)
	if u.TagTTL != 0 {
		out.TagTTL = max(time.Duration(u.TagTTL), 0)
	}
	for i, host := range u.BlobHosts {
		h, err := acl.ParseHost(host)
		if host != "" && (err != nil || h.IsAddr()) {
			b.errs().Addf(at.Sub("blob_hosts", i), `write a host name, such as "blobs.example.com"`, "%s is not the name of a host", strict.Show(host))
			continue
		}
		out.BlobHosts = append(out.BlobHosts, h.Name())
	}
	b.config.Upstreams = append(b.config.Upstreams, out)
}

// upstreamName reads a name and holds it against those before it.
func (b *builder) upstreamName(s string, at strict.Where, seen map[string]bool) string {
	place := at.Sub("name")
	name, err := oci.ParseRegistry(s)
	switch {
	case b.errs().Has(place):
	case s == "":
		b.errs().Addf(place, `write name = "ghcr.io", say, as images are called`, "the upstream has no name")
	case strings.Contains(s, "://"):
		u, _ := url.Parse(s)
		fix := `write the name that images have, such as "ghcr.io"`
		if u != nil && u.Host != "" {
			fix = fmt.Sprintf("write name = %q and url = %q", u.Host, s)
		}
		b.errs().Addf(place, fix, "%s is a URL, and the name of an upstream is what images are called by", strict.Show(s))
	case err != nil:
		b.errs().Addf(place, `write the name that images have, such as "ghcr.io" or "reg.example.com:5000"`, "%s is not the name of a registry", strict.Show(s))
	case isAliasOfDockerHub(name):
		b.errs().Addf(place, fmt.Sprintf("write %q", dockerHub), "%q is another name of %s", name, dockerHub)
	case seen[name]:
		b.errs().Addf(place, "give each registry one entry", "there is an upstream %q already", name)
	}
	seen[name] = true
	return name
}

func isAliasOfDockerHub(name string) bool {
	for _, alias := range dockerHubAliases() {
		if name == alias {
			return true
		}
	}
	return false
}

// upstreamURL reads where the registry answers; without a text it is where its name
// says.
func (b *builder) upstreamURL(s, name string, at strict.Where) *url.URL {
	switch {
	case b.errs().Has(at):
		return nil
	case s == "" && name == dockerHub:
		s = dockerHubURL
	case s == "":
		s = "https://" + name
	}
	u, err := url.Parse(s)
	const fix = `write "https://" or "http://" and the host, such as "https://registry-1.docker.io"`
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		what := strict.Show(s)
		if strings.Contains(s, "@") {
			what = "this" // there may be a password in it
		}
		if name != "" {
			b.errs().Addf(at, fix, "%s is not the URL of a registry", what)
		}
		return nil
	case u.User != nil:
		b.errs().Addf(at, "write username, and password_file or password_env or helper", "the URL of an upstream has no password in it")
		return nil
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		b.errs().Addf(at, "take it out", "the URL of an upstream has no query and no fragment")
		return nil
	}
	if _, err := oci.ParseRegistry(u.Host); err != nil {
		b.errs().Addf(at, fix, "%s is not the host of a registry", strict.Show(u.Host))
		return nil
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u
}

// warnPlain points out credentials that anybody on the way can read.
func (b *builder) warnPlain(u fileUpstream, at *url.URL, place strict.Where) {
	host, err := acl.ParseHost(at.Hostname())
	local := err == nil && (host.IsAddr() && host.Addr().IsLoopback() || host.Name() == "localhost")
	if at.Scheme == "http" && !local && u.Username+u.Helper != "" {
		b.warns().Addf(place.Sub("url"), "write https:// if the registry has it", "the credentials for %q pass over plain HTTP", u.Name)
	}
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// credentials holds to it that there is a name with one source of its password, a
// helper, or neither.
func (b *builder) credentials(u fileUpstream, at strict.Where) {
	var sources []string
	for _, s := range []struct{ key, value string }{{"password_file", u.PasswordFile}, {"password_env", u.PasswordEnv}, {"helper", u.Helper}} {
		if s.value != "" {
			sources = append(sources, s.key)
		}
	}
	const three = "password_file, password_env or helper"
	switch {
	case len(sources) > 1:
		b.errs().Addf(at.Sub(sources[1]), "write one of "+three, "%s and %s cannot both be had", sources[0], sources[1])
	case len(sources) == 0 && u.Username != "" && !b.wrong(at, "password_file", "password_env", "helper"):
		b.errs().Addf(at.Sub("username"), "write "+three, "there is a username, but no password")
	case len(sources) == 1 && u.Helper == "" && u.Username == "" && !b.wrong(at, "username"):
		b.errs().Addf(at.Sub(sources[0]), `write username = "alice", say`, "there is a password, but no username")
	}
	switch {
	case strings.ContainsAny(u.Username, ":\r\n\x00"):
		b.errs().Addf(at.Sub("username"), "take it out", "a username has no colon and no line break") // RFC 7617, section 2
	case u.PasswordEnv != "" && !variableName.MatchString(u.PasswordEnv):
		b.errs().Addf(at.Sub("password_env"), `write the name of the variable, such as "GHCR_TOKEN"`, "password_env is not the name of an environment variable")
	case u.Helper != "" && !upstream.IsHelperName(u.Helper):
		b.errs().Addf(at.Sub("helper"), `write "ecr-login" for docker-credential-ecr-login, say`, "%s is not the name of a credential helper", strict.Show(u.Helper))
	}
	if u.PasswordFile != "" {
		b.absolute(u.PasswordFile, at.Sub("password_file"), "/etc/sluice/ghcr-token")
	}
}

// wrong tells whether something was found wrong at one of the keys, so that it is not
// known what was meant.
func (b *builder) wrong(at strict.Where, keys ...string) bool {
	for _, key := range keys {
		if b.errs().Has(at.Sub(key)) {
			return true
		}
	}
	return false
}

func (b *builder) realm(s string, at strict.Where) string {
	if s == "" {
		return ""
	}
	host, err := oci.ParseRegistry(s)
	if err != nil {
		b.errs().Addf(at, `write the host, such as "auth.example.com"`, "%s is not the host of a token server", strict.Show(s))
	}
	return host
}

// proxy reads the URL of a proxy. What is wrong with it is told without the URL, which
// may have a password in it.
func (b *builder) proxy(s string, at strict.Where) *url.URL {
	if s == "" || b.errs().Has(at) {
		return nil
	}
	u, err := url.Parse(s)
	fix := `write it as "http://relay.example.com:3128" or "socks5://relay.example.com:1080"`
	switch {
	case err != nil || u.Host == "":
		b.errs().Addf(at, fix, "this is not the URL of a proxy")
		return nil
	case u.Scheme == "socks5h":
		b.errs().Addf(at, `write "socks5://", which leaves names to the proxy as well`, "a proxy's URL begins with http, https or socks5")
		return nil
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5":
		b.errs().Addf(at, fix, "a proxy's URL begins with http, https or socks5")
		return nil
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		b.errs().Addf(at, fix, "the URL of a proxy ends with its port")
		return nil
	}
	if _, err := oci.ParseRegistry(u.Host); err != nil {
		b.errs().Addf(at, fix, "%s is not the host of a proxy", strict.Show(u.Host))
		return nil
	}
	u.Path = ""
	return u
}

// chooseDefault finds the registry of paths that name none: the one that says so, else
// Docker Hub, else the only one.
func (b *builder) chooseDefault(list []fileUpstream, at func(int) strict.Where) {
	chosen := -1
	for i, u := range list {
		switch {
		case !u.Default:
		case chosen >= 0:
			b.errs().Addf(at(i).Sub("default"), "let one of them be the default", "the upstream %q is the default already", list[chosen].Name)
		default:
			chosen = i
		}
	}
	for i, u := range b.config.Upstreams {
		if chosen < 0 && (u.Name == dockerHub || len(list) == 1) {
			chosen = i
		}
	}
	if chosen >= 0 {
		b.config.Upstreams[chosen].Default = true
	}
}

// registries are the names of all upstreams, for the message about another one.
func (b *builder) registries() []string {
	names := make([]string, len(b.config.Upstreams))
	for i, u := range b.config.Upstreams {
		names[i] = u.Name
	}
	return names
}
