package setup

import "strings"

// unitDirectories are where systemd looks for units that somebody has installed, by
// systemd.unit(5).
var unitDirectories = [...]string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// units are the paths of a unit's files, in shell.
func units(name string) string {
	var paths []string
	for _, dir := range unitDirectories {
		paths = append(paths, `"$root`+dir+`/`+name+`"`)
	}
	return strings.Join(paths, " ")
}

// runs succeeds where systemd is process 1 and has the unit.
func runs(unit string) string {
	return `[ -d "$root/run/systemd/system" ] && ls ` + units(unit) + ` 2>/dev/null | grep -q .`
}

// reads succeeds where systemd has the unit, and the unit reads its environment from
// the file. Such a file outdoes a drop-in's Environment=, by systemd.exec(5).
func reads(unit, file string) string {
	drop := strings.ReplaceAll(units(unit+".d/"), `/"`, `/"*.conf`)
	return runs(unit) + ` && grep -qs '^EnvironmentFile=-\{0,1\}` + file + ` *$' ` + units(unit) + " " + drop
}

// dropIn is a drop-in of a unit that sets the variables of a program in Go.
func dropIn(unit string, settings func(Options) []Setting) File {
	return File{Path: "/etc/systemd/system/" + unit + ".d/http-proxy.conf", Format: DropIn, Settings: settings}
}

const liveRestore = `dockerd restarts: running containers stop and those with a restart policy come back, unless daemon.json has "live-restore": true`

// docker is the Docker daemon, which pulls for docker pull, run and compose.
func docker() Client {
	return Client{
		Name:        "docker",
		Purpose:     "docker pull, run and compose up: the Docker daemon",
		Destination: "registry-1.docker.io:443",
		SOCKS:       "yes: dockerd leaves the look-up of names to the proxy",
		Places: []Place{
			{
				Name:     "sysconfig",
				Where:    "where docker.service reads this file (Amazon Linux, RHEL 7 and its kin)",
				Test:     reads("docker.service", "/etc/sysconfig/docker"),
				Files:    []File{{Path: "/etc/sysconfig/docker", Format: Environment, Settings: environment}},
				Reload:   []string{"systemctl restart docker"},
				Disturbs: liveRestore,
			},
			{
				Name:     "systemd",
				Where:    "elsewhere, where systemd runs docker.service",
				Test:     runs("docker.service"),
				Files:    []File{dropIn("docker.service", environment)},
				Reload:   []string{"systemctl daemon-reload", "systemctl restart docker"},
				Disturbs: liveRestore,
			},
			{
				Name:     "snap",
				Where:    "where docker is a snap",
				Test:     runs("snap.docker.dockerd.service"),
				Files:    []File{dropIn("snap.docker.dockerd.service", environment)},
				Reload:   []string{"systemctl daemon-reload", "systemctl restart snap.docker.dockerd"},
				Disturbs: liveRestore,
			},
			{
				Name:     "openrc",
				Where:    "where OpenRC runs docker (Alpine, Gentoo)",
				Test:     `grep -qs openrc-run "$root/etc/init.d/docker"`,
				Files:    []File{{Path: "/etc/conf.d/docker", Format: Exports, Settings: environment}},
				Reload:   []string{"rc-service docker restart"},
				Disturbs: liveRestore,
			},
			{
				Name:     "default",
				Where:    "where sysvinit or upstart runs docker (older Debian and Ubuntu)",
				Test:     `[ -f "$root/etc/init.d/docker" ] || [ -f "$root/etc/init/docker.conf" ]`,
				Files:    []File{{Path: "/etc/default/docker", Format: Exports, Settings: environment}},
				Reload:   []string{"service docker restart"},
				Disturbs: liveRestore,
			},
			{
				Name:      "daemon.json",
				Where:     "where no other will do, on Docker Engine 23 or later; an older one does not start with it",
				Test:      `v=$(dockerd --version 2>/dev/null | sed -n 's/^Docker version \([0-9]*\)\..*/\1/p'); [ "${v:-0}" -ge 23 ]`,
				Asked:     true,
				Otherwise: `"proxies" in daemon.json needs Docker Engine 23 or later, and an older one does not start with it`,
				Files:     []File{{Path: "/etc/docker/daemon.json", Format: JSON, Settings: daemonProxies}},
				Reload:    []string{`if [ -d "$root/run/systemd/system" ]; then systemctl restart docker; else service docker restart; fi`},
				Disturbs:  liveRestore,
			},
		},
		Verify: Check{Command: `docker info --format '{{.HTTPSProxy}}'`},
		Notes: []string{
			"This is for the daemon. Containers and builds have settings of their own: sluice setup compose.",
			"Docker without root reads ~/.config/systemd/user/docker.service.d/http-proxy.conf, with the same lines; then systemctl --user daemon-reload and systemctl --user restart docker.",
			"Docker Desktop takes the proxy in its settings, under Resources, Proxies.",
			"A CIDR in NO_PROXY holds for registries that are written as an address, never for names. ALL_PROXY means nothing to dockerd.",
		},
	}
}

func daemonProxies(o Options) []Setting {
	return []Setting{
		{Name: "proxies.http-proxy", Value: o.Proxy.String()},
		{Name: "proxies.https-proxy", Value: o.Proxy.String()},
		{Name: "proxies.no-proxy", Value: strings.Join(o.GoExceptions(), ","), Separator: ","},
	}
}
