//go:build linux

package examples_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"sluice/internal/lab"
)

// mark stands where an example wants something filled in.
const mark = "FILL IN"

func TestWhatIsToBeFilledInIsMarkedAlike(t *testing.T) {
	for _, path := range []string{"cloud-init.yaml", "cloud-vm.md", "cloud-vm.sh", "compose.yaml", "sluice.service", "sluice.toml"} {
		if !strings.Contains(read(t, path), mark) {
			t.Errorf("nothing in %s is marked %s", path, mark)
		}
	}
	for _, path := range []string{"cloud-init.yaml", "sluice.toml"} {
		for line := range strings.Lines(read(t, path)) {
			if strings.Contains(line, "clients = [") && !strings.Contains(line, "# "+mark+": ") {
				t.Errorf("%s: clients are not marked in %s", path, line)
			}
		}
	}
}

// cloudConfig is as much of cloud-init's user data as the example uses.
type cloudConfig struct {
	WriteFiles []struct {
		Path        string
		Permissions string
		Content     string
	} `yaml:"write_files"`
	Runcmd [][]string
}

func testCloudInit(t *testing.T, path string) {
	text := read(t, path)
	if !strings.HasPrefix(text, "#cloud-config\n") {
		t.Fatal("the first line is not what cloud-init looks for")
	}
	if len(text) > 16<<10 {
		t.Errorf("it has %d bytes, and Amazon EC2 takes 16 KiB", len(text))
	}
	var config cloudConfig
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&config); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	modes := map[string]string{}
	for _, f := range config.WriteFiles {
		files[f.Path], modes[f.Path] = f.Content, f.Permissions
	}
	if files["/etc/systemd/system/sluice.service"] != read(t, "sluice.service") {
		t.Error("its unit is not sluice.service")
	}
	const install = "/usr/local/sbin/install-sluice"
	if len(config.Runcmd) != 1 || len(config.Runcmd[0]) != 1 || config.Runcmd[0][0] != install || modes[install] != "0755" {
		t.Errorf("it runs %v, and %s has mode %q", config.Runcmd, install, modes[install])
	}
	if _, err := exec.LookPath("cloud-init"); err == nil {
		run(t, "cloud-init", "schema", "--config-file", path)
	}
	testInstalling(t, files[install], files["/etc/sluice/sluice.toml"])
}

// testInstalling runs what cloud-init runs, below a directory, with the programs of
// this machine but for systemctl.
func testInstalling(t *testing.T, script, config string) {
	lab.Need(t, lab.Needs{Programs: []string{"shellcheck", "curl"}})
	binary, err := os.ReadFile(lab.Sluice(t))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/sluice" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(binary)
	}))
	defer server.Close()
	sum := fmt.Sprintf("%x", sha256.Sum256(binary))

	for _, x := range []struct {
		name, url, sum string
		installed      bool
	}{
		{"without a sum", server.URL + "/sluice", "", true},
		{"with its sum", server.URL + "/sluice", sum, true},
		{"with another sum", server.URL + "/sluice", strings.Repeat("0", 64), false},
		{"an address that is none", server.URL + "/elsewhere", "", false},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, sub := range []string{"usr/local/bin", "etc/sluice", "bin"} {
				if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			write := func(name, text string) string {
				file := filepath.Join(dir, name)
				if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
				return file
			}
			calls := filepath.Join(dir, "calls")
			write("bin/systemctl", "#!/bin/sh\necho \"$*\" >>"+calls+"\n")
			write("etc/sluice/sluice.toml", config)
			filled := regexp.MustCompile(`(?m)^url=\S+`).ReplaceAllString(script, "url="+x.url)
			filled = regexp.MustCompile(`(?m)^sha256=`).ReplaceAllString(filled, "sha256="+x.sum)
			filled = strings.ReplaceAll(strings.ReplaceAll(filled, "/usr/local/", dir+"/usr/local/"), "/etc/sluice/", dir+"/etc/sluice/")
			file := write("install", filled)
			run(t, "shellcheck", file)
			cmd := exec.CommandContext(t.Context(), file)
			cmd.Env = append(os.Environ(), "PATH="+dir+"/bin:"+os.Getenv("PATH"), "no_proxy=*")
			out, err := cmd.CombinedOutput()
			_, missing := os.Stat(filepath.Join(dir, "usr/local/bin/sluice"))
			if (err == nil) != x.installed || (missing == nil) != x.installed {
				t.Fatalf("%v, the binary: %v\n%s", err, missing, out)
			}
			called, _ := os.ReadFile(calls)
			if x.installed != (string(called) == "daemon-reload\nenable sluice\nrestart sluice\n") {
				t.Errorf("systemctl was called with %q", called)
			}
		})
	}
	admits(t, config)
}

// admits holds a configuration to the clients of documents, and to Docker Hub.
func admits(t *testing.T, config string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sluice.toml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	for client, want := range map[string]bool{"192.0.2.10": true, "203.0.113.1": false} {
		cmd := exec.CommandContext(t.Context(), lab.Sluice(t), "explain", "--config", file, "--client", client, "--to", "registry-1.docker.io:443")
		if out, err := cmd.CombinedOutput(); (err == nil) != want {
			t.Errorf("%s: %v\n%s", client, err, out)
		}
	}
}

// testRecipe holds the recipe's commands against a shell's grammar, and its links
// against the files. The clouds' own tools are not asked.
func testRecipe(t *testing.T, path string) {
	text := read(t, path)
	for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("link: %v", err)
		}
	}
	commands := 0
	var script strings.Builder
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "       "); ok {
			script.WriteString(command)
			commands++
		}
	}
	if commands < 10 {
		t.Fatalf("there are only %d lines of commands", commands)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-n")
	cmd.Stdin = strings.NewReader(script.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, script.String())
	}
	if !strings.Contains(text, "/setup/docker | sudo sh") || strings.Count(text, "cloud-init.yaml") < 6 {
		t.Error("a step is missing")
	}
}
