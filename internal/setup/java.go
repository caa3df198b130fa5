package setup

import (
	"net/netip"
	"strings"
)

const noPassword = "A user and a password for the proxy are not written: the JDK takes them from the program alone, and by default sends none for HTTPS (jdk.http.auth.tunneling.disabledSchemes). Admit this host by its address instead."

// properties are the JDK's own for a proxy, by its "Networking Properties".
func properties(o Options) []Setting {
	host, port := o.Proxy.Hostname(), o.Proxy.Port()
	http := []Setting{
		{Name: "http.proxyHost", Value: host}, {Name: "http.proxyPort", Value: port},
		{Name: "https.proxyHost", Value: host}, {Name: "https.proxyPort", Value: port},
		{Name: "http.nonProxyHosts", Value: o.javaExceptions(), Separator: "|"}, // holds for https too
	}
	socks := []Setting{
		{Name: "socksProxyHost", Value: host}, {Name: "socksProxyPort", Value: port},
		{Name: "socksNonProxyHosts", Value: o.javaExceptions(), Separator: "|"},
	}
	if o.SOCKS() {
		return append(socks, without(http)...)
	}
	return append(http, without(socks)...)
}

// without says that none of the settings is to be there.
func without(settings []Setting) []Setting {
	for i := range settings {
		settings[i].Value = ""
	}
	return settings
}

// javaExceptions are names with "*" at an end, and addresses; there are no CIDRs.
func (o Options) javaExceptions() string {
	var list []string
	for _, entry := range domains(o.Exceptions()) {
		if addr, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
			if addr.Is6() {
				list = append(list, "["+addr.String()+"]")
				continue
			}
			list = append(list, addr.String())
			continue
		}
		name, _, _ := strings.Cut(entry, ":")
		if strings.HasPrefix(name, ".") {
			name = "*" + name
		}
		list = append(list, name)
	}
	return strings.Join(unique(list), "|")
}

// java is every program on a Java virtual machine that brings nothing of its own.
func java() Client {
	return Client{
		Name:        "java",
		Purpose:     "programs on the Java virtual machine",
		Destination: "repo.maven.apache.org:443",
		SOCKS:       "yes, but names are looked up on this host, not at the proxy",
		Places: []Place{
			{
				Name:      "system",
				Where:     forEverybody,
				Test:      root,
				Everybody: true,
				Files:     []File{{Path: "/etc/profile.d/sluice-java.sh", Format: Own, Body: javaOptions}},
			},
			{
				Name:  "user",
				Where: forOneUser + "; read it from ~/.profile with: . ~/.config/sluice/java.sh",
				Files: []File{{Path: "~/.config/sluice/java.sh", Format: Own, Body: javaOptions}},
			},
		},
		Verify: Check{Command: "java -XshowSettings:properties -version 2>&1 | grep -i proxy", When: inNewSession, Wants: func(o Options) string { return o.Proxy.Hostname() }},
		Notes: []string{
			"Java reads no HTTPS_PROXY. Each start prints “Picked up JAVA_TOOL_OPTIONS” on its standard error.",
			"Services of systemd read no profile: give them Environment=JAVA_TOOL_OPTIONS=… of their own, or put the properties into $JAVA_HOME/conf/net.properties.",
			"Maven and Gradle have settings of their own: sluice setup maven, sluice setup gradle.",
			noPassword,
		},
	}
}

func javaOptions(o Options) string {
	var list []string
	for _, s := range properties(o) {
		if s.Value == "" {
			continue
		}
		list = append(list, "-D"+s.Name+"="+s.Value)
	}
	// In single quotes the shell leaves "|" and "*" alone; the virtual machine splits
	// at white space, of which there is none.
	return "# Written by sluice setup java: every Java virtual machine reads it.\n" +
		"JAVA_TOOL_OPTIONS='" + strings.Join(list, " ") + "'\nexport JAVA_TOOL_OPTIONS\n"
}

// maven is the build tool.
func maven() Client {
	return Client{
		Name:        "maven",
		Purpose:     "mvn: dependencies and plugins",
		Destination: "repo.maven.apache.org:443",
		SOCKS:       "not in settings.xml: take http://, or start mvn with MAVEN_OPTS=\"-DsocksProxyHost=HOST -DsocksProxyPort=PORT\"",
		Places: []Place{{
			Name:  "user",
			Where: forOneUser,
			Files: []File{{Path: "~/.m2/settings.xml", Format: Maven, Settings: mavenSettings}},
		}},
		Verify: Check{Command: "mvn -q help:effective-settings | grep -A 8 '<proxy>'", When: "once the relay is in use, for the plugin comes through it", Wants: func(o Options) string { return o.Proxy.Hostname() }},
		Notes: []string{
			"Of several active proxies for one protocol Maven takes the first: ours goes in front of others.",
			"CIDRs mean nothing to it, and are left out of nonProxyHosts.",
		},
	}
}

func mavenSettings(o Options) []Setting {
	user, password := o.user()
	return []Setting{
		{Name: "host", Value: o.Proxy.Hostname()},
		{Name: "port", Value: o.Proxy.Port()},
		{Name: "username", Value: user},
		{Name: "password", Value: password},
		{Name: "nonProxyHosts", Value: o.javaExceptions()},
	}
}

// gradle is the build tool.
func gradle() Client {
	return Client{
		Name:        "gradle",
		Purpose:     "gradle: dependencies, plugins, and the wrapper's download",
		Destination: "plugins.gradle.org:443",
		SOCKS:       "yes, but names are looked up on this host, not at the proxy",
		Places: []Place{{
			Name:  "user",
			Where: forOneUser,
			Files: []File{{Path: "~/.gradle/gradle.properties", Format: Properties, Settings: func(o Options) []Setting {
				settings := properties(o)
				for i := range settings {
					settings[i].Name = "systemProp." + settings[i].Name
				}
				user, password := o.user()
				if o.SOCKS() {
					user, password = "", "" // there are no properties for those
				}
				for _, scheme := range []string{"http", "https"} {
					settings = append(settings,
						Setting{Name: "systemProp." + scheme + ".proxyUser", Value: user},
						Setting{Name: "systemProp." + scheme + ".proxyPassword", Value: password})
				}
				return settings
			}}},
		}},
		Verify: Check{Command: "grep proxy ~/.gradle/gradle.properties", Wants: func(o Options) string { return o.Proxy.Hostname() }},
		Notes: []string{
			"A Gradle daemon that runs already keeps its old properties: gradle --stop.",
			"CIDRs mean nothing to it, and are left out of nonProxyHosts.",
		},
	}
}
