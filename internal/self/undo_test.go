package self

import (
	"maps"
	"os"
	"strings"
	"testing"

	"sluice/internal/lab/shell"
	"sluice/internal/setup"
)

// What was changed behind the script's back is not thrown away.
func TestWhatWasChangedSinceIsNotUndone(t *testing.T) {
	script := dockerScript(t)
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		m := newMachine(t, sh, path)
		m.Write("/run/systemd/system/x", "")
		m.Write("/lib/systemd/system/docker.service", "[Service]\n")
		m.Run(script)
		m.Write(hosts[0].file, "[Service]\nEnvironment=\"MINE=1\"\n")
		if out, ok := m.Run(script, "--undo"); ok || !strings.Contains(out, "was changed since") {
			t.Errorf("it says %q", out)
		}
		if got := m.Tree()[hosts[0].file]; !strings.Contains(got, "MINE=1") {
			t.Errorf("the file is %q", got)
		}
	})
}

// dockerOf is a machine whose Docker reads a file that is there.
func dockerOf(t *testing.T, sh []string, path string) (m *shell.Host, file string) {
	t.Helper()
	m = newMachine(t, sh, path)
	for name, text := range hosts[1].has {
		m.Write(name, text)
	}
	return m, hosts[1].file
}

func TestAScriptThatWasKilledIsGoneOnWithOrUndone(t *testing.T) {
	script := dockerScript(t)
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		// restorecon is called when a file is in its place, systemctl when all are.
		for _, killer := range []string{"restorecon", "systemctl"} {
			for _, again := range []bool{false, true} {
				m, file := dockerOf(t, sh, path)
				start := m.Tree()
				m.Program(killer, "kill -9 $PPID")
				if out, ok := m.Run(script); ok || m.Tree()[file] == start[file] {
					t.Fatalf("%s does not kill it in the middle, it says %q", killer, out)
				}
				m.Telling(killer)
				if again {
					out, ok := m.Run(script)
					if calls := m.Called(); !ok || !strings.Contains(calls, "systemctl restart docker") {
						t.Errorf("run again after %s, it says %q and calls %q", killer, out, calls)
					}
				}
				if out, ok := m.Run(script, "--undo"); !ok || !maps.Equal(start, m.Tree()) {
					t.Errorf("killed by %s (run again: %v) and undone with %q, it leaves %v", killer, again, out, m.Tree())
				}
			}
		}
	})
}

func TestASecondRunThatFailsLeavesTheFirstToBeUndone(t *testing.T) {
	c, _ := setup.Lookup("docker")
	script := dockerScript(t)
	other := scriptOf(c, setup.Options{Proxy: proxyURL(t, "http://other.example:3128")})
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		m, _ := dockerOf(t, sh, path)
		start := m.Tree()
		m.Run(script)
		m.Program("systemctl", "! grep -q other "+m.File(hosts[1].file))
		if out, ok := m.Run(other); ok || !strings.Contains(out, "does not start") {
			t.Fatalf("the second run says %q", out)
		}
		if out, ok := m.Run(script, "--undo"); !ok || !maps.Equal(start, m.Tree()) {
			t.Errorf("undone with %q, it leaves %v", out, m.Tree())
		}
	})
}

func TestWhatWasKeptOfOnePlaceIsNotLostToAnother(t *testing.T) {
	script := dockerScript(t)
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		m, _ := dockerOf(t, sh, path)
		start := m.Tree()
		m.Run(script)
		if out, ok := m.Run(script, "--place", "systemd"); ok || !strings.Contains(out, "another place before, sysconfig") {
			t.Errorf("it says %q", out)
		}
		if out, ok := m.Run(script, "--undo"); !ok || !maps.Equal(start, m.Tree()) {
			t.Errorf("undone with %q, it leaves %v", out, m.Tree())
		}
	})
}

func TestASecretIsPutBackAsASecret(t *testing.T) {
	script := dockerScript(t)
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		m, file := dockerOf(t, sh, path)
		if err := os.Chmod(m.File(file), 0o600); err != nil {
			t.Fatal(err)
		}
		m.Run(script)
		if err := os.Remove(m.File(file)); err != nil {
			t.Fatal(err)
		}
		out, _ := m.Run(script, "--undo")
		if info, err := os.Stat(m.File(file)); err != nil || info.Mode() != 0o600 {
			t.Errorf("undone with %q, it is %v (%v), want mode 0600", out, info, err)
		}
	})
}
