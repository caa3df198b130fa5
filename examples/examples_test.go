//go:build linux

// Package examples_test runs the files that a user is told to copy, or has
// them parsed by the programs that they are meant for.
package examples_test

import (
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	"sluice/internal/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// tests has the test of each file that is no Go source.
func tests() map[string]func(t *testing.T, path string) {
	return map[string]func(*testing.T, string){
		"sluice.toml":                         testConfiguration,
		"etc-sysconfig-docker":                testEnvironmentFile,
		"docker.service.d/http-proxy.conf":    testDropIn,
		"compose.yaml":                        testCompose,
		"sluice.service":                      testUnit,
		"cloud-vm.sh":                         testCloudVM,
		"cloud-vm.md":                         testRecipe,
		"cloud-init.yaml":                     testCloudInit,
		"check.sh":                            testCheck,
		"logrotate.conf":                      testLogrotate,
		"fail2ban/filter.d/sluice.conf":       testFilter,
		"fail2ban/jail.d/sluice.conf":         testJail,
		"prometheus-alerts.yaml":              testAlerts,
		"prometheus-alerts.test.yaml":         testAlertTests,
		"prometheus-alerts-mirror.yaml":       testAlerts,
		"prometheus-alerts-mirror.test.yaml":  testAlertTests,
		"grafana-dashboard.json":              testDashboard,
		"sluice.service.d/notify-reload.conf": testNotifyReload,
		"sluice.socket":                       testSocket,
		"mirror.toml":                         testMirrorConfiguration,
		"sluice-mirror.service":               testMirrorUnit,
		"compose-mirror.yaml":                 testMirrorCompose,
		"mirror/daemon.json":                  testDaemon,
		"mirror/certs.d/docker.io/hosts.toml": testHosts,
	}
}

func TestEveryExampleIsRunOrParsed(t *testing.T) {
	tests := tests()
	for _, path := range files(t) {
		test, ok := tests[path]
		delete(tests, path)
		if !ok {
			t.Errorf("examples/%s has no test", path)
			continue
		}
		t.Run(path, func(t *testing.T) { test(t, path) })
	}
	for path := range tests {
		t.Errorf("examples/%s is tested, but is not there", path)
	}
}

// files are the examples, by their paths from this directory.
func files(t *testing.T) []string {
	t.Helper()
	var found []string
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasSuffix(path, ".go") {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// read returns the file's text.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// run runs a program of the machine and returns what it printed on both
// streams; it fails the test if the program does.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
