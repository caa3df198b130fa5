package trust

import (
	"fmt"
	"slices"
	"strings"

	"sluice/internal/setup"
)

// places are those of a client of package setup, by name: what tells systems apart is
// known there.
func places(client string, names ...string) []setup.Place {
	c, _ := setup.Lookup(client)
	var list []setup.Place
	for _, p := range c.Places {
		if slices.Contains(names, p.Name) {
			p.Files, p.Reload, p.Disturbs = nil, nil, ""
			list = append(list, p)
		}
	}
	return list
}

// conflict fails where dockerd has mirrors among its options as well: it would not
// start again with both.
const conflict = `if tr '\0' ' ' 2>/dev/null <"$root/proc/$(cat "$root/var/run/docker.pid" 2>/dev/null)/cmdline" | grep -q -e ' --registry-mirror' -e ' --insecure-registry'; then echo "dockerd has --registry-mirror or --insecure-registry among its options, and would not start with the same in daemon.json: take it out there first" >&2; false; fi`

// docker asks a mirror for images of Docker Hub only, and for others by the mirror's
// name.
func (m Mirror) docker() setup.Client {
	c := setup.Client{Name: "docker", Purpose: "images that the Docker daemon pulls"}
	reload := map[string]string{
		"systemd": "systemctl reload docker || systemctl restart docker",
		"openrc":  "rc-service docker reload || rc-service docker restart",
		"default": "service docker reload || service docker restart",
	}
	files := certificate("/etc/docker/certs.d/"+m.Host+"/ca.crt", m.own())
	settings := m.daemon()
	if len(settings) > 0 {
		files = append(files, setup.File{Path: "/etc/docker/daemon.json", Format: setup.JSON, Settings: func(setup.Options) []setup.Setting { return settings }})
	}
	for _, p := range places("docker", "systemd", "openrc", "default") {
		p.Files = files
		if len(settings) > 0 {
			p.Reload = []string{conflict, reload[p.Name]}
			p.Disturbs = "dockerd reads its file anew, and goes on"
		}
		c.Places = append(c.Places, p)
	}
	switch {
	case m.mirrorsHub():
		c.Verify = setup.Check{
			Command: `docker info --format '{{json .RegistryConfig.Mirrors}}'`,
			Wants:   func(setup.Options) string { return `"` + m.URL() + `/"` },
		}
	case m.Login:
		c.Notes = append(c.Notes, fmt.Sprintf("The mirror asks for a password, so dockerd is not sent there for images of Docker Hub: it would give it the password for that. Log in by docker login %s, and name images by the mirror.", m.Host))
	default:
		c.Notes = append(c.Notes, "dockerd asks a mirror for images of Docker Hub only, which this one does not have.")
	}
	c.Notes = append(c.Notes, fmt.Sprintf("Images of other registries have to be named by the mirror: docker pull %s/ghcr.io/OWNER/IMAGE.", m.Host))
	return c
}

// mirrorsHub tells whether dockerd can have it for a mirror of Docker Hub.
func (m Mirror) mirrorsHub() bool {
	return !m.Login && m.Default == hub && slices.Contains(m.Registries, hub)
}

// daemon is what daemon.json has to say.
func (m Mirror) daemon() []setup.Setting {
	var list []setup.Setting
	if m.mirrorsHub() {
		list = append(list, setup.Setting{Name: "registry-mirrors", List: []string{m.URL()}})
	}
	if !m.TLS && !m.isLoopback() {
		list = append(list, setup.Setting{Name: "insecure-registries", List: []string{m.Host}})
	}
	return list
}

const (
	hostsDirectory = "/etc/containerd/certs.d"
	containerdCA   = "/etc/containerd/sluice-mirror-ca.crt"
)

// containerd has a directory of files for each registry, and sends the registry's name
// along (?ns=). It reads them at each pull.
func (m Mirror) containerd() setup.Client {
	files := certificate(containerdCA, m.own())
	for _, registry := range m.Registries {
		files = append(files, setup.File{
			Path: hostsDirectory + "/" + registry + "/hosts.toml", Format: setup.New,
			Body: func(setup.Options) string { return m.hosts(registry) },
		})
	}
	c := setup.Client{
		Name: "containerd", Purpose: "images that containerd pulls, for Kubernetes, nerdctl and crictl",
		Verify: setup.Check{
			Command: `containerd config dump | grep config_path`,
			Wants:   func(setup.Options) string { return hostsDirectory },
			Remedy:  "/etc/containerd/config.toml has to say config_path = \"" + hostsDirectory + "\" in the section [plugins.\"io.containerd.grpc.v1.cri\".registry], or with version = 3 in [plugins.\"io.containerd.cri.v1.images\".registry]; then systemctl restart containerd, and run this again. nerdctl needs none of that",
		},
		Notes: []string{
			"Where the mirror does not answer, containerd asks the registry itself.",
			"ctr images pull reads these files with --hosts-dir " + hostsDirectory + ".",
			"K3s and RKE2 write such files themselves, from registries.yaml.",
		},
	}
	if m.Login {
		c.Notes = append(c.Notes, fmt.Sprintf("The mirror asks for a password. Where containerd has none for %s, it asks the registry itself.", m.Host))
	}
	for _, p := range places("containerd", "systemd", "openrc") {
		p.Files = files
		c.Places = append(c.Places, p)
	}
	return c
}

func (m Mirror) hosts(registry string) string {
	server := registry
	if registry == hub {
		server = "registry-1.docker.io"
	}
	ca := ""
	if m.own() != nil {
		ca = fmt.Sprintf("  ca = %q\n", containerdCA)
	}
	return fmt.Sprintf("# Written by sluice-mirror: images of this registry come by the mirror.\nserver = %q\n\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n%s",
		"https://"+server, m.URL(), ca)
}

// podman, buildah and skopeo have one file for all registries, and read it each time.
func (m Mirror) podman() setup.Client {
	c := setup.Client{
		Name: "podman", Purpose: "podman pull, build and run, buildah, and skopeo copy",
		Notes: []string{"Where the mirror does not answer, the registry itself is asked."},
	}
	if m.Login {
		c.Notes = append(c.Notes, fmt.Sprintf("The mirror asks for a password: podman login %s.", m.Host))
	}
	for _, p := range places("podman", "system", "user") {
		directory := "/etc/containers"
		if p.Name == "user" {
			directory = "~/.config/containers"
		}
		p.Everybody = false // there is no secret in these files
		p.Files = append(certificate(directory+"/certs.d/"+m.Host+"/ca.crt", m.own()), setup.File{
			Path: directory + "/registries.conf.d/50-sluice-mirror.conf", Format: setup.Own,
			Body: func(setup.Options) string { return m.registries() },
		})
		c.Places = append(c.Places, p)
	}
	return c
}

func (m Mirror) registries() string {
	var b strings.Builder
	b.WriteString("# Written by sluice-mirror: images of these registries come by the mirror.\n")
	for _, r := range m.Registries {
		fmt.Fprintf(&b, "\n[[registry]]\nprefix = %q\nlocation = %q\n\n[[registry.mirror]]\nlocation = %q\n", r, r, m.Host+"/"+r)
		if !m.TLS {
			b.WriteString("insecure = true\n")
		}
	}
	return b.String()
}

// store is where a system has its authorities, and how it reads them anew.
type store struct{ name, where, test, path, update string }

var stores = [...]store{
	{
		"debian", "Debian, Ubuntu, Alpine", `command -v update-ca-certificates >/dev/null && [ -d "$root/usr/share/ca-certificates" ]`,
		"/usr/local/share/ca-certificates/sluice-mirror.crt", "update-ca-certificates --fresh",
	},
	{
		"redhat", "RHEL, Fedora, Amazon Linux", `command -v update-ca-trust >/dev/null && [ -d "$root/etc/pki/ca-trust/source/anchors" ]`,
		"/etc/pki/ca-trust/source/anchors/sluice-mirror.crt", "update-ca-trust extract",
	},
	{
		"suse", "SUSE", `command -v update-ca-certificates >/dev/null && [ -d "$root/etc/pki/trust/anchors" ]`,
		"/etc/pki/trust/anchors/sluice-mirror.pem", "update-ca-certificates --fresh",
	},
}

// through is a client of the transparent way: that of the proxy, with the authority
// among the system's. A daemon reads those at its start alone, which a proxy asks for
// anyway. Docker's snap does not read the system's.
func (m Mirror) through(name string) (setup.Client, bool) {
	if !slices.Contains([]string{"docker", "containerd", "podman"}, name) {
		return setup.Client{}, false
	}
	c, _ := setup.Lookup(name)
	all := c.Places
	c.Name, c.Places = name+transparent, nil
	for _, p := range all {
		if p.Asked || p.Name == "snap" || name == "podman" && p.Name != "system" {
			continue
		}
		for _, s := range stores {
			q := p
			q.Name, q.Where = p.Name+"-"+s.name, p.Where+" ("+s.where+")"
			q.Test = "{ " + p.Test + "; } && " + s.test
			q.Files = append(certificate(s.path, m.CA), p.Files...)
			q.Reload = append([]string{s.update}, p.Reload...)
			c.Places = append(c.Places, q)
		}
	}
	c.Notes = append(slices.Clone(c.Notes), "Programs that bring authorities of their own, as Java and Firefox do, do not read the system's.")
	return c, true
}
