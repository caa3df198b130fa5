package setup

import "strings"

// root succeeds for the superuser, who sets a program up for everybody.
const root = `[ "$(id -u)" = 0 ]`

const (
	forEverybody = "for everybody on the host, as root"
	forOneUser   = "for one user"
	inNewSession = "in a new session"
)

// containerd is the daemon behind Kubernetes, nerdctl and newer versions of Docker.
func containerd() Client {
	const stays = "containerd restarts; containers go on"
	return Client{
		Name:        "containerd",
		Purpose:     "images that containerd pulls, for Kubernetes, nerdctl and crictl",
		Destination: "registry-1.docker.io:443",
		SOCKS:       "yes: containerd leaves the look-up of names to the proxy",
		Places: []Place{
			{
				Name:     "systemd",
				Where:    "where systemd runs containerd.service",
				Test:     runs("containerd.service"),
				Files:    []File{dropIn("containerd.service", environment)},
				Reload:   []string{"systemctl daemon-reload", "systemctl restart containerd"},
				Disturbs: stays,
			},
			{
				Name:     "openrc",
				Where:    "where OpenRC runs containerd (Alpine)",
				Test:     `grep -qs openrc-run "$root/etc/init.d/containerd"`,
				Files:    []File{{Path: "/etc/conf.d/containerd", Format: Exports, Settings: environment}},
				Reload:   []string{"rc-service containerd restart"},
				Disturbs: stays,
			},
		},
		Verify: Check{Command: `tr '\0' '\n' <"/proc/$(pidof -s containerd)/environ" | grep -i proxy`},
		Notes: []string{
			"ctr images pull and nerdctl fetch by themselves in part: in their shell the same variables are needed (sluice setup shell).",
			"Docker asks its own daemon for images, not this one: sluice setup docker.",
			"K3s and RKE2 have a containerd of their own: sluice setup kubernetes.",
			"A CIDR in NO_PROXY holds for registries that are written as an address, never for names.",
		},
	}
}

// podman has no daemon: each command reads its own environment.
func podman() Client {
	return Client{
		Name:        "podman",
		Purpose:     "podman pull, build and run, buildah, and skopeo copy",
		Destination: "registry-1.docker.io:443",
		SOCKS:       "yes: podman and skopeo leave the look-up of names to the proxy",
		Places: []Place{
			{
				Name:      "system",
				Where:     forEverybody,
				Test:      root,
				Everybody: true,
				Files: []File{
					{Path: "/etc/containers/containers.conf.d/50-sluice.conf", Format: Own, Body: containersConf},
					{Path: "/etc/profile.d/sluice-podman.sh", Format: Exports, Settings: goVariables},
				},
			},
			{
				Name:  "user",
				Where: forOneUser,
				Files: []File{
					{Path: "~/.config/containers/containers.conf.d/50-sluice.conf", Format: Own, Body: containersConf},
					{Path: "~/.profile", Format: Exports, Settings: goVariables},
				},
			},
		},
		Verify: Check{Command: "printenv https_proxy", When: inNewSession},
		Notes: []string{
			"podman and buildah read containers.conf (as of version 4 its directory, too); skopeo reads its environment alone, and has it from the shell.",
			"podman hands the variables on to containers; podman run --http-proxy=false keeps them out.",
			"podman.socket reads containers.conf at its next start: systemctl restart podman.service.",
		},
	}
}

func containersConf(o Options) string {
	var list []string
	for _, s := range goVariables(o) {
		list = append(list, `  "`+s.Name+"="+s.Value+`",`)
	}
	// A URL and a list of names have neither quotes nor backslashes in them, which
	// TOML's strings would want escaped.
	return "# Written by sluice setup podman: the environment of podman and buildah.\n[engine]\nenv = [\n" + strings.Join(list, "\n") + "\n]\n"
}

// buildkit is the daemon that builds images, where it runs by itself.
func buildkit() Client {
	return Client{
		Name:        "buildkit",
		Purpose:     "base images and git contexts that buildkitd fetches when it runs by itself or for docker buildx",
		Destination: "registry-1.docker.io:443",
		SOCKS:       "yes for buildkitd itself; what a RUN step calls may not speak it",
		Places: []Place{
			{
				Name:     "systemd",
				Where:    "where systemd runs buildkit.service",
				Test:     runs("buildkit.service"),
				Files:    []File{dropIn("buildkit.service", environment)},
				Reload:   []string{"systemctl daemon-reload", "systemctl restart buildkit"},
				Disturbs: "buildkitd restarts: builds that run end",
			},
			{
				Name:  "buildx",
				Where: "where docker buildx runs buildkitd in a container",
				Test:  `false`,
				Typed: func(o Options) []string {
					command := []string{"docker buildx create --use --name sluice"}
					for _, s := range environment(o) {
						if strings.Contains(s.Value, ",") {
							// buildx reads the option as a line of CSV.
							command = append(command, `--driver-opt '"env.`+s.Name+"="+s.Value+`"'`)
							continue
						}
						command = append(command, `--driver-opt 'env.`+s.Name+"="+s.Value+"'")
					}
					return []string{strings.Join(command, " \\\n      ")}
				},
			},
		},
		Verify: Check{Command: `tr '\0' '\n' <"/proc/$(pidof -s buildkitd)/environ" | grep -i proxy`},
		Notes: []string{
			"docker build without buildx's own container pulls by the Docker daemon: sluice setup docker.",
			"RUN steps get their proxy from build arguments, which leave no trace in the image: sluice setup compose has docker build pass them, --build-arg HTTPS_PROXY=… does so for buildctl.",
		},
	}
}

// compose is what the docker command hands to containers and builds.
func compose() Client {
	return Client{
		Name:    "compose",
		Purpose: "what containers and RUN steps of builds fetch: docker compose build and up, docker build and run",
		SOCKS:   "yes, handed on as it is; what runs in the container may not speak it",
		Places: []Place{{
			Name:  "user",
			Where: forOneUser + ", who runs docker",
			Files: []File{{Path: "~/.docker/config.json", Format: JSON, Settings: func(o Options) []Setting {
				return []Setting{
					{Name: "proxies.default.httpProxy", Value: o.Proxy.String()},
					{Name: "proxies.default.httpsProxy", Value: o.Proxy.String()},
					{Name: "proxies.default.noProxy", Value: strings.Join(o.GoExceptions(), ","), Separator: ","},
				}
			}}},
		}},
		Verify: Check{Command: `grep -A 4 proxies ~/.docker/config.json`},
		Notes: []string{
			"Images are pulled by the Docker daemon, which does not read this: sluice setup docker.",
			"Only containers and builds that begin from now on get the variables, in capitals and in small letters. Images keep nothing of them.",
			"A relay on 127.0.0.1 is not the host's within a container: give its address on the network.",
			"Names of services of the same compose file have to stand in --no-proxy, where their containers speak HTTP to one another.",
		},
	}
}
