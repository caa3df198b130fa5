package setup

import (
	"net/netip"
	"slices"
	"strings"
)

// apt is the package manager of Debian and Ubuntu.
func apt() Client {
	return Client{
		Name:        "apt",
		Purpose:     "apt update and install",
		Destination: "deb.debian.org:80",
		SOCKS:       "yes, from apt 1.5 on, as socks5h://",
		Places: []Place{{
			Name:  "system",
			Where: forEverybody,
			// apt reads the directory in the order of names, and the last one wins.
			Files: []File{{Path: "/etc/apt/apt.conf.d/99sluice-proxy", Format: Own, Body: aptConf}},
		}},
		Verify: Check{Command: "apt-config dump Acquire::http::Proxy"},
		Notes: []string{
			"Exceptions are for a host each: apt knows neither domains nor CIDRs there. Hosts given to --no-proxy as a whole name are written, others are left out.",
			"What a repository's packages fetch by themselves while they are installed reads the environment: sluice setup shell.",
		},
	}
}

func aptConf(o Options) string {
	proxy := *o.Proxy
	if o.SOCKS() {
		proxy.Scheme = "socks5h" // apt knows SOCKS5 by this name
	}
	var b strings.Builder
	b.WriteString("// Written by sluice setup apt.\n")
	for _, scheme := range []string{"http", "https"} {
		b.WriteString("Acquire::" + scheme + `::Proxy "` + proxy.String() + "\";\n")
		for _, host := range o.Exceptions() {
			if wholeName(host) {
				b.WriteString("Acquire::" + scheme + "::Proxy::" + host + " \"DIRECT\";\n")
			}
		}
	}
	return b.String()
}

// wholeName tells whether an exception is one host's name or IPv4 address: apt's
// configuration takes colons for its own.
func wholeName(entry string) bool {
	return !strings.ContainsAny(entry, "/:*[]") && !strings.HasPrefix(entry, ".")
}

// dnf is the package manager of Fedora and RHEL, and yum the one before it.
func dnf() Client {
	return Client{
		Name:        "dnf",
		Purpose:     "dnf and yum install and update",
		Destination: "mirrors.fedoraproject.org:443",
		SOCKS:       "yes in dnf; not in yum before it (RHEL 7, Amazon Linux 2)",
		Places: []Place{
			{
				Name:  "dnf",
				Where: "where there is dnf (Fedora, RHEL 8 and later, Amazon Linux 2023)",
				Test:  `[ -d "$root/etc/dnf" ]`,
				Files: []File{{Path: "/etc/dnf/dnf.conf", Format: INI, Settings: dnfSettings}},
			},
			{
				Name:  "yum",
				Where: "elsewhere, where there is yum (RHEL 7, CentOS 7, Amazon Linux 2)",
				Test:  `[ -f "$root/etc/yum.conf" ]`,
				Files: []File{{Path: "/etc/yum.conf", Format: INI, Settings: dnfSettings}},
			},
		},
		Verify: Check{Command: "grep -h ^proxy /etc/dnf/dnf.conf /etc/yum.conf 2>/dev/null"},
		Notes: []string{
			"There are no exceptions by host here: for a repository inside, write proxy=_none_ into its own section.",
			"On RHEL, subscription-manager has a proxy of its own: subscription-manager config --server.proxy_hostname=… --server.proxy_port=….",
		},
	}
}

func dnfSettings(o Options) []Setting {
	bare := *o.Proxy
	bare.User = nil
	user, password := o.user()
	return []Setting{
		{Section: "main", Name: "proxy", Value: bare.String()},
		{Section: "main", Name: "proxy_username", Value: user},
		{Section: "main", Name: "proxy_password", Value: password},
	}
}

// pip is Python's package installer.
func pip() Client {
	settings := func(o Options) []Setting {
		return []Setting{{Section: "global", Name: "proxy", Value: o.Proxy.String()}}
	}
	return Client{
		Name:        "pip",
		Purpose:     "pip install",
		Destination: "pypi.org:443",
		SOCKS:       "not without PySocks, which pip cannot fetch through it: python3 -m pip install pysocks from elsewhere first, or take http://",
		Places: []Place{
			{
				Name:      "system",
				Where:     forEverybody,
				Test:      root,
				Everybody: true,
				Files:     []File{{Path: "/etc/pip.conf", Format: INI, Settings: settings}},
			},
			{
				Name:  "user",
				Where: forOneUser,
				Files: []File{{Path: "~/.config/pip/pip.conf", Format: INI, Settings: settings}},
			},
		},
		Verify: Check{Command: "python3 -m pip config list"},
		Notes: []string{
			"A proxy in pip's own settings holds for every host: NO_PROXY is not looked at then. With an index inside, take it out here and use sluice setup shell.",
			"A pip.conf in a virtual environment, PIP_PROXY and --proxy outdo it.",
		},
	}
}

// npm is the package manager of Node.js.
func npm() Client {
	return Client{
		Name:        "npm",
		Purpose:     "npm install and npx",
		Destination: "registry.npmjs.org:443",
		SOCKS:       "yes, from npm 7 on",
		Places: []Place{{
			Name:  "user",
			Where: forOneUser,
			Files: []File{{Path: "~/.npmrc", Format: INI, Settings: func(o Options) []Setting {
				return []Setting{
					{Name: "proxy", Value: npmValue(o.Proxy.String())},
					{Name: "https-proxy", Value: npmValue(o.Proxy.String())},
					{Name: "noproxy", Value: strings.Join(domains(o.Exceptions()), ","), Separator: ","},
				}
			}}},
		}},
		Verify: Check{Command: "cd / && npm config get https-proxy"},
		Notes: []string{
			"npm compares exceptions by the end of the name; CIDRs mean nothing to it, and are left out.",
			"Scripts of packages that download by themselves read the environment: sluice setup shell. Node's own fetch looks at it only with NODE_USE_ENV_PROXY=1, from Node 24 on.",
			"yarn 1 reads this file too; yarn 2 and later has httpProxy and httpsProxy in .yarnrc.yml.",
		},
	}
}

// npmValue keeps npm from putting a variable's value in place of ${NAME}, and its
// reader of INI from seeing a comment.
func npmValue(value string) string {
	if plain.MatchString(value) {
		return value
	}
	return `"` + strings.ReplaceAll(value, "$", "%24") + `"`
}

// domains are the exceptions without CIDRs.
func domains(entries []string) []string {
	return slices.DeleteFunc(slices.Clone(entries), func(entry string) bool {
		_, err := netip.ParsePrefix(entry)
		return err == nil
	})
}
