//go:build linux

package setup

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"sluice/internal/lab"
)

// awkward has in its password what means something in one file or the other.
const awkward = "http://us%23er:p%40%25%22%27%5C$HOME;&x@relay.example.internal:3128"

// writeFile puts the text of a client's file of that path onto the disk.
func writeFile(t *testing.T, client, path string, o Options) string {
	t.Helper()
	c, ok := Lookup(client)
	if !ok {
		t.Fatalf("no client %s", client)
	}
	for _, p := range c.Places {
		for _, f := range p.Files {
			if f.Path != path {
				continue
			}
			to := filepath.Join(t.TempDir(), filepath.Base(path))
			if err := os.WriteFile(to, []byte(f.Content(o)), 0o644); err != nil {
				t.Fatal(err)
			}
			return to
		}
	}
	t.Fatalf("%s has no file %s", client, path)
	return ""
}

// ask runs a client's own program with variables in an otherwise clean environment.
func ask(t *testing.T, environment []string, name string, args ...string) string {
	t.Helper()
	lab.Need(t, lab.Needs{Programs: []string{name}})
	cmd := exec.Command(name, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + cmd.Dir, "LC_ALL=C"}, environment...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func wants(t *testing.T, who, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s reads\n%s\nwant\n%s", who, got, want)
	}
}

func TestAptReadsItsFile(t *testing.T) {
	for proxy, scheme := range map[string]string{relay: relay, awkward: awkward, "socks5://relay:1080": "socks5h://relay:1080"} {
		file := writeFile(t, "apt", "/etc/apt/apt.conf.d/99sluice-proxy", options(t, proxy))
		for _, s := range []string{"http", "https"} {
			got := ask(t, []string{"APT_CONFIG=" + file}, "apt-config", "shell", "p", "Acquire::"+s+"::Proxy", "d", "Acquire::"+s+"::Proxy::worker-1")
			wants(t, "apt", got, "p='"+strings.ReplaceAll(scheme, "'", `'\''`)+"'\nd='DIRECT'")
		}
	}
}

func TestGitReadsItsFile(t *testing.T) {
	for proxy, want := range map[string]string{relay: relay, awkward: awkward, "socks5://relay:1080": "socks5h://relay:1080"} {
		o := options(t, proxy)
		file := writeFile(t, "git", "~/.gitconfig", o)
		wants(t, "git", ask(t, nil, "git", "config", "--file", file, "--get", "http.proxy"), want)
		c, _ := Lookup("git")
		for _, old := range []string{
			"[user]\n\tname = x", "[HTTP]\n\tproxy = http://old:1\n\tsslVerify = true\n[http \"https://x/\"]\n\tproxy = http://other:1\n[Http]\n  Proxy=again # remark\n",
			"\ufeff[core]\r\n\tbare = false\r\n",
		} {
			text, err := c.Places[1].Files[0].Edit([]byte(old), o)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			wants(t, "git", ask(t, nil, "git", "config", "--file", file, "--get-all", "http.proxy"), want)
			if strings.Contains(old, "https://x/") {
				wants(t, "git", ask(t, nil, "git", "config", "--file", file, "--get", "http.https://x/.proxy"), "http://other:1")
				wants(t, "git", ask(t, nil, "git", "config", "--file", file, "--get", "http.sslverify"), "true")
			}
		}
	}
}

// pythonString is a text as Python's repr writes it, as far as a URL goes.
func pythonString(text string) string { return "'" + text + "'" }

func TestPipReadsItsFile(t *testing.T) {
	for _, proxy := range []string{relay, awkward} {
		file := writeFile(t, "pip", "~/.config/pip/pip.conf", options(t, proxy))
		got := ask(t, []string{"PIP_CONFIG_FILE=" + file}, "pip3", "config", "list")
		if !strings.Contains(got, "global.proxy="+pythonString(proxy)+"\n") && !strings.HasSuffix(got, "global.proxy="+pythonString(proxy)) {
			t.Errorf("pip reads\n%s\nwant %s", got, proxy)
		}
	}
}

func TestNpmReadsItsFile(t *testing.T) {
	for _, proxy := range []string{relay, "http://u:p%40;%23x@relay:3128"} {
		environment := []string{"NPM_CONFIG_USERCONFIG=" + writeFile(t, "npm", "~/.npmrc", options(t, proxy)), "NPM_CONFIG_UPDATE_NOTIFIER=false"}
		for _, key := range []string{"proxy", "https-proxy"} {
			got := ask(t, environment, "npm", "config", "get", key)
			if want := strings.TrimSuffix(proxy, "/"); got != want && got != want+"/" {
				t.Errorf("npm has %s=%q, want %q", key, got, want)
			}
		}
		if got := ask(t, environment, "npm", "config", "get", "noproxy"); !strings.Contains(got, ".example.internal") || strings.Contains(got, "/8") {
			t.Errorf("npm has noproxy=%q", got)
		}
	}
}

func TestDnfReadsItsFile(t *testing.T) {
	lab.Need(t, lab.Needs{Programs: []string{"dnf", "/usr/bin/python3"}})
	const script = "import dnf, sys; c = dnf.conf.Conf(); c.read(sys.argv[1]); print(c.proxy, c.proxy_username, c.proxy_password, c.gpgcheck)"
	c, _ := Lookup("dnf")
	old := "[main]\ngpgcheck=True\nproxy=http://old:1,\n  http://older:1\nproxy_password=old\n\n[repo]\nname=x\n"
	for proxy, want := range map[string]string{
		awkward: `http://relay.example.internal:3128 us#er p@%"'\$HOME;&x True`,
		relay:   relay + " None None True", "socks5://relay:1080": "socks5://relay:1080 None None True",
	} {
		text, err := c.Places[0].Files[0].Edit([]byte(old), options(t, proxy))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "dnf.conf")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		got := ask(t, nil, "/usr/bin/python3", "-c", script, file)
		// An empty user and none are the same to dnf.
		wants(t, "dnf", strings.Join(strings.Fields(got), " "), want)
		if !strings.Contains(string(text), "[repo]\nname=x\n") || strings.Contains(string(text), "old") {
			t.Errorf("got\n%s", text)
		}
	}
}

func TestShellsReadTheirFiles(t *testing.T) {
	for _, name := range []string{"sh", "bash"} {
		for _, c := range []struct{ client, path, socks string }{
			{"shell", "/etc/profile.d/sluice-proxy.sh", "socks5h://relay:1080"},
			{"go", "/etc/profile.d/sluice-go.sh", "socks5://relay:1080"},
			{"podman", "~/.profile", "socks5://relay:1080"},
			{"docker", "/etc/conf.d/docker", "socks5://relay:1080"},
			{"docker", "/etc/default/docker", "socks5://relay:1080"},
			{"docker", "/etc/sysconfig/docker", ""}, // has no export: sourced, it is no one's environment
		} {
			for proxy, want := range map[string]string{relay: relay, awkward: awkward, "socks5://relay:1080": c.socks} {
				if want == "" {
					continue
				}
				o := options(t, proxy)
				script := `set -eu; . "$1"; `
				if c.path == "/etc/sysconfig/docker" {
					script = `set -eua; . "$1"; `
				}
				got := ask(t, nil, name, "-c", script+`printenv HTTPS_PROXY; printenv NO_PROXY`, name, writeFile(t, c.client, c.path, o))
				wants(t, name+" of "+c.path, got, want+"\n"+strings.Join(o.GoExceptions(), ","))
			}
		}
	}
}

func TestJavaTakesItsProperties(t *testing.T) {
	lab.Need(t, lab.Needs{Programs: []string{"java"}})
	o := options(t, relay)
	file := writeFile(t, "java", "/etc/profile.d/sluice-java.sh", o)
	got := ask(t, nil, "sh", "-c", `. "$1"; java -XshowSettings:properties -version 2>&1`, "sh", file)
	for _, want := range []string{"http.proxyHost = relay.example.internal\n", "https.proxyPort = 3128\n", "http.nonProxyHosts = " + o.javaExceptions() + "\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("java has no %q in\n%s", want, got)
		}
	}
}

// gradleLoader prints a property file as the virtual machine reads it.
const gradleLoader = `public class Load { public static void main(String[] a) throws Exception {
	java.util.Properties p = new java.util.Properties();
	p.load(new java.io.FileInputStream(a[0]));
	for (String n : new java.util.TreeSet<>(p.stringPropertyNames())) System.out.println(n + "=" + p.getProperty(n));
} }`

func TestGradleReadsItsProperties(t *testing.T) {
	lab.Need(t, lab.Needs{Programs: []string{"java", "javac"}})
	loader := filepath.Join(t.TempDir(), "Load.java")
	if err := os.WriteFile(loader, []byte(gradleLoader), 0o644); err != nil {
		t.Fatal(err)
	}
	c, _ := Lookup("gradle")
	old := "org.gradle.jvmargs=-Xmx1g \\\n  systemProp.http.proxyHost=no\nsystemProp.http.proxyHost : old\\\n  er\nsystemProp.socksProxyHost=old\nsystemProp.http.nonProxyHosts=*.corp.example|\\\n  localhost|b.example\n"
	text, err := c.Places[0].Files[0].Edit([]byte(old), options(t, awkward))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "gradle.properties")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	got := ask(t, nil, "java", loader, file)
	for _, want := range []string{
		"org.gradle.jvmargs=-Xmx1g systemProp.http.proxyHost=no\n", "systemProp.http.proxyHost=relay.example.internal\n",
		"|*.example.internal|*.corp.example|b.example\n",
		`systemProp.http.proxyPassword=p@%"'\$HOME;&x` + "\n", "systemProp.http.proxyUser=us#er\n",
	} {
		if !strings.Contains(got+"\n", want) {
			t.Errorf("no %q in\n%s\nof\n%s", want, got, text)
		}
	}
	if strings.Contains(got, "socks") || strings.Contains(got, "older") {
		t.Errorf("what was replaced is still there:\n%s", got)
	}
}

// mavenReader prints the proxies of a settings.xml as Maven's own reader has them.
const mavenReader = `import org.apache.maven.settings.*;
public class Read { public static void main(String[] a) throws Exception {
	Settings s = new org.apache.maven.settings.io.xpp3.SettingsXpp3Reader().read(new java.io.FileInputStream(a[0]), true);
	for (Proxy p : s.getProxies()) System.out.println(String.join(" ", p.getId(), p.getProtocol(), p.getHost(), "" + p.getPort(), "" + p.isActive(), "" + p.getUsername(), "" + p.getPassword()));
	System.out.println(s.getLocalRepository() + " " + s.getServers().size());
} }`

func TestMavenReadsItsSettings(t *testing.T) {
	lab.Need(t, lab.Needs{Programs: []string{"java", "javac", "/usr/share/maven/bin/mvn"}})
	reader := filepath.Join(t.TempDir(), "Read.java")
	if err := os.WriteFile(reader, []byte(mavenReader), 0o644); err != nil {
		t.Fatal(err)
	}
	const mine = "sluice-http http relay.example.internal 3128 true us#er p@%\"'\\$HOME;&x\nsluice-https https relay.example.internal 3128 true us#er p@%\"'\\$HOME;&x\n"
	for _, c := range []struct{ name, old, want string }{
		{"none", "", mine + "null 0"},
		{"without proxies", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<!-- <proxies> -->\n<settings>\n  <localRepository>/x</localRepository>\n</settings>\n", mine + "/x 0"},
		{"with others", "<settings><proxies><proxy><id>old</id><host>o</host><port>1</port></proxy></proxies><servers><server><id>s</id></server></servers></settings>", mine + "old http o 1 true null null\nnull 1"},
		{"CRLF", "<settings>\r\n<proxies>\r\n</proxies>\r\n</settings>", mine + "null 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			settings := mavenSettings(options(t, awkward))
			text, err := Maven.edit([]byte(c.old), settings)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "settings.xml")
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			wants(t, "maven", ask(t, nil, "java", "-cp", "/usr/share/maven/lib/*", reader, file), c.want)
			if again, err := Maven.edit(text, settings); err != nil || string(again) != string(text) {
				t.Errorf("a second time: %v\n%s", err, again)
			}
			if other, err := Maven.edit(text, mavenSettings(options(t, relay))); err != nil || strings.Count(string(other), "<id>sluice-http</id>") != 1 || strings.Contains(string(other), "username") {
				t.Errorf("with another proxy: %v\n%s", err, other)
			}
		})
	}
	for _, bad := range []string{"<settings>", "<project></project>", "no XML", "<settings/>", "<settings><proxies/></settings>", "<settings>" + mavenBegin + "</settings>"} {
		if text, err := Maven.edit([]byte(bad), mavenSettings(options(t, relay))); err == nil {
			t.Errorf("%q became\n%s", bad, text)
		}
	}
}

func TestJSONFilesAreWhatDockerReads(t *testing.T) {
	o := options(t, awkward)
	var cli struct {
		Proxies map[string]struct{ HTTPProxy, HTTPSProxy, NoProxy string }
	}
	var daemon struct {
		Proxies map[string]string
	}
	for path, into := range map[string]any{writeFile(t, "compose", "~/.docker/config.json", o): &cli, writeFile(t, "docker", "/etc/docker/daemon.json", o): &daemon} {
		if err := json.Unmarshal([]byte(ask(t, nil, "cat", path)), into); err != nil {
			t.Fatal(err)
		}
	}
	proxy, list := o.Proxy.String(), strings.Join(o.GoExceptions(), ",")
	if p := cli.Proxies["default"]; p.HTTPProxy != proxy || p.HTTPSProxy != proxy || p.NoProxy != list {
		t.Errorf("the command has %+v", cli)
	}
	if p := daemon.Proxies; p["http-proxy"] != proxy || p["https-proxy"] != proxy || p["no-proxy"] != list || len(p) != 3 {
		t.Errorf("the daemon has %+v", daemon)
	}
}

func TestPodmanReadsItsFile(t *testing.T) {
	var conf struct {
		Engine struct{ Env []string }
	}
	o := options(t, "http://u:p%22%5C@relay:1")
	if _, err := toml.DecodeFile(writeFile(t, "podman", "/etc/containers/containers.conf.d/50-sluice.conf", o), &conf); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(conf.Engine.Env, "https_proxy="+o.Proxy.String()) || len(conf.Engine.Env) != 6 {
		t.Errorf("got %q", conf.Engine.Env)
	}
}

func TestBuildxGetsItsOptionsWhole(t *testing.T) {
	c, _ := Lookup("buildkit")
	o := options(t, relay)
	typed := c.Places[1].Typed(o)[0]
	got := ask(t, nil, "sh", "-c", `docker() { for a; do echo "$a"; done; }; `+typed)
	var environment []string
	for line := range strings.Lines(got) {
		if !strings.Contains(line, "env.") {
			continue
		}
		fields, err := csv.NewReader(strings.NewReader(line)).Read()
		if err != nil || len(fields) != 1 {
			t.Fatalf("%q is read as %q, %v", line, fields, err)
		}
		environment = append(environment, fields[0])
	}
	want := []string{"env.HTTP_PROXY=" + relay, "env.HTTPS_PROXY=" + relay, "env.NO_PROXY=" + strings.Join(o.GoExceptions(), ",")}
	if !slices.Equal(environment, want) {
		t.Errorf("buildx gets %q, want %q", environment, want)
	}
}

func TestEveryClientIsDescribedToTheEnd(t *testing.T) {
	names := make(map[string]bool)
	for _, c := range Clients() {
		if names[c.Name] || c.Purpose == "" || c.SOCKS == "" || c.Verify.Command == "" || len(c.Notes) == 0 || len(c.Places) == 0 {
			t.Errorf("%s lacks something, or is there twice", c.Name)
		}
		names[c.Name] = true
		for _, p := range c.Places {
			if p.Name == "" || p.Where == "" || len(p.Files) == 0 == (p.Typed == nil) || p.Asked != (p.Otherwise != "") {
				t.Errorf("%s: %s lacks something", c.Name, p.Name)
			}
			for _, command := range append([]string{p.Test, c.Verify.Command}, p.Reload...) {
				ask(t, nil, "sh", "-n", "-c", command)
			}
			for _, f := range p.Files {
				text := f.Content(options(t, relay))
				if !strings.Contains(text, "relay.example.internal") || !strings.HasSuffix(text, "\n") {
					t.Errorf("%s: %s would be\n%s", c.Name, f.Path, text)
				}
				if again, err := f.Edit([]byte(text), options(t, relay)); err != nil || string(again) != text {
					t.Errorf("%s: %s changes with each time: %v\n%s", c.Name, f.Path, err, again)
				}
			}
		}
		for _, proxy := range []string{relay, awkward, "socks5://[2001:db8::1]:1080"} {
			if text := c.Text(options(t, proxy)); strings.Contains(text, "%!") || strings.Contains(text, "$root") {
				t.Errorf("got\n%s", text)
			}
		}
	}
}
