//go:build linux

package dockerhub

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sluice/internal/lab"
)

// Docker is a dockerd on a host of the lab, and the client that talks to it.
type Docker struct {
	*lab.Daemon
	host *lab.Host
	dir  string
}

// Client is the path of the docker command to use: Debian's own, of the daemon's
// version, when it is there; a newer one elsewhere works too.
func Client() string {
	const debian = "/usr/bin/docker"
	if _, err := os.Stat(debian); err == nil {
		return debian
	}
	if path, err := exec.LookPath("docker"); err == nil {
		return path
	}
	return "docker"
}

// StartDocker runs a dockerd on the host, with its state in a directory of the
// lab. env are lines like those of /etc/sysconfig/docker; the daemon trusts ca
// alone. It has no bridge of its own: containers have no network, or the host's.
func StartDocker(t testing.TB, n *lab.Net, host *lab.Host, ca *lab.CA, env []string, args ...string) *Docker {
	t.Helper()
	dir, err := os.MkdirTemp(n.Dir(), "docker")
	if err != nil {
		t.Fatal(err)
	}
	// The machine's own containerd, its certificates for registries and its
	// dockerd's key stay out of sight. dockerd makes these where they lack.
	for _, shared := range []string{"/run/containerd", "/etc/docker"} {
		own := filepath.Join(dir, filepath.Base(shared))
		if err := os.Mkdir(own, 0o711); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(shared, 0o755); err != nil {
			t.Fatal(err)
		}
		host.Bind(own, shared)
	}
	d := &Docker{host: host, dir: dir}
	if err := os.WriteFile(filepath.Join(dir, "daemon.json"), []byte("{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := host.Command(context.Background(), "dockerd", append([]string{
		"--host=" + d.socket(),
		"--data-root=" + filepath.Join(dir, "data"),
		"--exec-root=" + filepath.Join(dir, "exec"),
		"--pidfile=" + filepath.Join(dir, "pid"),
		"--config-file=" + filepath.Join(dir, "daemon.json"),
		"--bridge=none", "--iptables=false", "--ip6tables=false",
		// The systemd driver, default under systemd, would need its bus.
		"--exec-opt=native.cgroupdriver=cgroupfs",
	}, args...)...)
	cmd.Env = append(append(cmd.Env, "SSL_CERT_FILE="+ca.File(), "SSL_CERT_DIR=/nonexistent"), env...)
	d.Daemon = host.StartCommand(t, cmd)
	d.WaitOutput(t, "API listen on", time.Minute)
	return d
}

func (d *Docker) socket() string { return "unix://" + filepath.Join(d.dir, "docker.sock") }

// Command prepares `docker args...` for this daemon.
func (d *Docker) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := d.host.Command(ctx, Client(), append([]string{"--host=" + d.socket()}, args...)...)
	// A user's own config.json has no say.
	cmd.Env = append(cmd.Env, "DOCKER_CONFIG="+filepath.Join(d.dir, "client"), "DOCKER_BUILDKIT=0")
	return cmd
}

// Docker runs `docker args...` for at most five minutes. It returns what was
// printed on both streams; a failure has it in the error as well.
func (d *Docker) Docker(t testing.TB, args ...string) (string, error) {
	t.Helper()
	// In a cleanup too, where the test's own context has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute)
	defer cancel()
	out, err := d.Command(ctx, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("docker %s: %w: %s", args[0], err, out)
	}
	return string(out), nil
}
