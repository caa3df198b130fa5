package setup

import "strings"

// git speaks HTTP by libcurl, and has a proxy of its own.
func git() Client {
	settings := func(o Options) []Setting {
		proxy := *o.Proxy
		if o.SOCKS() {
			proxy.Scheme = "socks5h" // libcurl's word for leaving the look-up to the proxy
		}
		return []Setting{{Section: "http", Name: "proxy", Value: gitValue(proxy.String())}}
	}
	return Client{
		Name:        "git",
		Purpose:     "git clone, fetch and push over http:// and https://",
		Destination: "github.com:443",
		SOCKS:       "yes, as socks5h://",
		Places: []Place{
			{
				Name:      "system",
				Where:     forEverybody,
				Test:      root,
				Everybody: true,
				Files:     []File{{Path: "/etc/gitconfig", Format: Git, Settings: settings}},
			},
			{
				Name:  "user",
				Where: forOneUser,
				Files: []File{{Path: "~/.gitconfig", Format: Git, Settings: settings}},
			},
		},
		Verify: Check{Command: "cd / && git config --get http.proxy"},
		Notes: []string{
			"Exceptions are taken from the variable no_proxy (sluice setup shell), or are written for each server: git config --system http.https://git.example.internal/.proxy ''.",
			"git over SSH does not use it. Through Sluice: ProxyCommand nc -X connect -x HOST:PORT %h %p in ~/.ssh/config, with port 22 in the rule's ports.",
		},
	}
}

// gitValue is a value in git's own syntax, where ";" and "#" begin comments.
func gitValue(value string) string {
	if plain.MatchString(value) {
		return value
	}
	return `"` + value + `"`
}

// golang is the go command, which reads the environment only.
func golang() Client {
	return Client{
		Name:        "go",
		Purpose:     "go get, install and mod download",
		Destination: "proxy.golang.org:443",
		SOCKS:       "yes: the go command leaves the look-up of names to the proxy",
		Places: []Place{
			{
				Name:      "system",
				Where:     forEverybody,
				Test:      root,
				Everybody: true,
				Files:     []File{{Path: "/etc/profile.d/sluice-go.sh", Format: Exports, Settings: goVariables}},
			},
			{
				Name:  "user",
				Where: forOneUser,
				Files: []File{{Path: "~/.profile", Format: Exports, Settings: goVariables}},
			},
		},
		Verify: Check{Command: "printenv https_proxy", When: inNewSession},
		Notes: []string{
			"go env -w takes no proxy variables: they have to stand in the environment.",
			"GOPROXY is another thing, a server of modules. The relay has to let proxy.golang.org, sum.golang.org and storage.googleapis.com through; with GOPROXY=direct the hosts of the sources instead.",
			"Modules inside: GOPRIVATE=*.example.internal keeps the go command from asking the servers outside for them.",
		},
	}
}

// shell is all that reads the environment.
func shell() Client {
	return Client{
		Name:    "shell",
		Purpose: "what is started from a shell and reads the environment: curl, wget, and most other programs",
		SOCKS:   "yes in curl and in programs in Go; not in wget",
		Places: []Place{
			{
				Name:      "system",
				Where:     forEverybody,
				Test:      root,
				Everybody: true,
				Files:     []File{{Path: "/etc/profile.d/sluice-proxy.sh", Format: Exports, Settings: shellVariables}},
			},
			{
				Name:  "user",
				Where: forOneUser,
				Files: []File{{Path: "~/.profile", Format: Exports, Settings: shellVariables}},
			},
		},
		Verify: Check{Command: "printenv https_proxy", When: inNewSession},
		Notes: []string{
			"Sessions that are open keep their environment: log in anew, or read the file with “.”. Services and cron read none of it.",
			"sudo drops the variables, unless sudoers keeps them: Defaults env_keep += \"http_proxy https_proxy no_proxy\".",
			"curl reads http_proxy in small letters only. CIDRs in no_proxy hold for addresses in curl from 7.86 on, in Python's requests and in programs in Go; others pass over them.",
		},
	}
}

// bothCases are the variables in either case: curl reads http_proxy in small letters
// only, and some programs read capitals only.
func bothCases(settings []Setting) []Setting {
	var both []Setting
	for _, s := range settings {
		small := s
		small.Name = strings.ToLower(s.Name)
		both = append(both, small, s)
	}
	return both
}

// goVariables are those of a shell in which programs in Go run.
func goVariables(o Options) []Setting { return bothCases(environment(o)) }

// shellVariables are those for every program. By socks5h:// curl leaves the look-up of
// names to the proxy; older programs in Go do not know the word, and have their own.
func shellVariables(o Options) []Setting {
	settings := goVariables(o)
	for i := range settings {
		if rest, ok := strings.CutPrefix(settings[i].Value, "socks5://"); ok {
			settings[i].Value = "socks5h://" + rest
		}
	}
	return settings
}
