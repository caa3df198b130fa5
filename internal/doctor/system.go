package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// System is where facts about a host are read. The zero value is this host.
type System struct {
	// Root is the directory that has etc and proc. With one, no program of the host
	// is run.
	Root string
}

func (s System) path(name string) string { return filepath.Join("/", s.Root, name) }

// maxNameservers is how many the C library asks.
const maxNameservers = 3

// nameservers are those of /etc/resolv.conf.
func (s System) nameservers() []string {
	text, _ := os.ReadFile(s.path("etc/resolv.conf")) // none is no server to ask
	var found []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "nameserver" && len(found) < maxNameservers {
			found = append(found, f[1])
		}
	}
	return found
}

// docker is what is known of the dockerd that runs here.
type docker struct {
	running   bool
	source    string // where its settings were read; "": they could not be
	set       proxySettings
	version   string
	proxies   bool   // daemon.json has "proxies"
	malformed string // what is wrong with daemon.json
}

// old says that this Engine does not start with "proxies" in daemon.json.
func (d *docker) old() bool {
	major, err := strconv.Atoi(regexp.MustCompile(`^\d+`).FindString(d.version))
	return err == nil && major < 23
}

// commandTime bounds what a program of the host may take to answer.
const commandTime = 3 * time.Second

// read collects what this process and dockerd are set to.
func (s System) read(ctx context.Context, environ []string) *settings {
	set := &settings{own: inEnvironment(environ), client: s.puller()}
	d := &set.docker
	pid, environment, err := s.dockerd()
	d.running = pid != 0
	switch {
	case pid == 0:
	case err == nil:
		d.source, d.set = "dockerd's environment", inEnvironment(environment)
	case s.Root == "":
		d.ask(ctx)
	}
	s.daemonFile(ctx, d)
	return set
}

// dockerd finds the daemon that shares this process's network; one in a container
// is not this host's, and whoever may start a process may call it dockerd. The error
// is of reading its environment.
func (s System) dockerd() (pid int, environ []string, err error) {
	names, _ := filepath.Glob(s.path("proc/[0-9]*/comm"))
	own, ownErr := os.Readlink(s.path("proc/self/ns/net"))
	for _, name := range names {
		if text, err := os.ReadFile(name); err != nil || strings.TrimSpace(string(text)) != "dockerd" {
			continue
		}
		dir := filepath.Dir(name)
		if !trusted(dir) || !runsDockerd(dir) {
			continue
		}
		if its, err := os.Readlink(filepath.Join(dir, "ns/net")); err == nil && ownErr == nil && its != own {
			continue
		}
		pid, _ = strconv.Atoi(filepath.Base(dir))
		text, err := os.ReadFile(filepath.Join(dir, "environ"))
		return pid, strings.Split(string(text), "\x00"), err
	}
	return 0, nil, nil
}

// runsDockerd tells a daemon from another program, with its owner's rights, that was
// called by the same name through a link. Who may not look may not read the environment
// either.
func runsDockerd(process string) bool {
	program, err := os.Readlink(filepath.Join(process, "exe"))
	return err != nil || strings.TrimSuffix(filepath.Base(program), " (deleted)") == "dockerd"
}

// puller is the program that pulls images here, as sluice setup names it; Docker
// where none is found.
func (s System) puller() string {
	for _, p := range [][2]string{{"dockerd", "docker"}, {"podman", "podman"}, {"containerd", "containerd"}} {
		for _, dir := range []string{"usr/bin", "usr/sbin", "usr/local/bin"} {
			if _, err := os.Stat(s.path(filepath.Join(dir, p[0]))); err == nil {
				return p[1]
			}
		}
	}
	return "docker"
}

// infoFormat has docker print one setting in each line.
const infoFormat = "{{.HTTPProxy}}\n{{.HTTPSProxy}}\n{{.NoProxy}}\n{{.ServerVersion}}"

// ask asks the daemon what it is set to, or else systemd, which knows its unit but
// not what an EnvironmentFile has.
func (d *docker) ask(ctx context.Context) {
	if out, err := output(ctx, "docker", "info", "--format", infoFormat); err == nil {
		if l := strings.Split(out, "\n"); len(l) >= 4 {
			d.source, d.version = "docker info", l[3]
			d.set = proxySettings{http: l[0], https: l[1], exempt: l[2]}
			return
		}
	}
	if out, err := output(ctx, "systemctl", "show", "docker", "--property=Environment", "--value"); err == nil && strings.Contains(strings.ToUpper(out), "_PROXY=") {
		d.source, d.set = "docker.service", inEnvironment(strings.Fields(out))
	}
}

func output(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	return string(bytes.TrimRight(out, "\n")), err
}

// daemonFile reads daemon.json, whose "proxies" count for more than the environment.
func (s System) daemonFile(ctx context.Context, d *docker) {
	text, err := os.ReadFile(s.path("etc/docker/daemon.json"))
	if err != nil {
		return
	}
	var file struct {
		Proxies *struct {
			HTTP    string `json:"http-proxy"`
			HTTPS   string `json:"https-proxy"`
			NoProxy string `json:"no-proxy"`
		} `json:"proxies"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		d.malformed = err.Error()
		return
	}
	if file.Proxies == nil {
		return
	}
	d.proxies = true
	if d.version == "" && s.Root == "" {
		d.version = engineVersion(ctx)
	}
	if d.running && !d.old() && d.source != "docker info" {
		d.source = "daemon.json"
		d.set = proxySettings{http: file.Proxies.HTTP, https: file.Proxies.HTTPS, exempt: file.Proxies.NoProxy}
	}
}

var versionPattern = regexp.MustCompile(`version v?(\d[\w.+~-]*)`)

// engineVersion works without a running daemon, which is just what "proxies" may
// have come to.
func engineVersion(ctx context.Context) string {
	out, err := output(ctx, "dockerd", "--version")
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if m := versionPattern.FindStringSubmatch(out); m != nil {
		return m[1]
	}
	return ""
}

// inEnvironment reads the variables of proxies. Where a name is there in both
// spellings the capitals count, as in the Go that Docker Engine 20.10 is built with.
func inEnvironment(environ []string) proxySettings {
	values := make(map[string]string)
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			values[name] = value
		}
	}
	var p proxySettings
	for _, v := range []struct {
		name string
		to   *string
	}{{"HTTP_PROXY", &p.http}, {"HTTPS_PROXY", &p.https}, {"ALL_PROXY", &p.all}, {"NO_PROXY", &p.exempt}} {
		upper, lower := values[v.name], values[strings.ToLower(v.name)]
		if upper != "" && lower != "" && upper != lower {
			p.differ = append(p.differ, v.name)
		}
		if *v.to = upper; upper == "" {
			*v.to = lower
		}
	}
	slices.Sort(p.differ)
	return p
}
