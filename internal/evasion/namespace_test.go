//go:build linux

package evasion

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// inside tells the process that is in the namespace from the one that made it.
const inside = "SLUICE_EVASION_NAMESPACE"

// TestMain runs the tests in a process of their own that begins in a new network
// namespace; without root, in a user namespace as well.
func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		if err := everywhereIsHere(); err != nil {
			leftOut(err)
			return
		}
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if id := os.Geteuid(); id != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1))
	default:
		leftOut(err)
	}
}

// leftOut says that nothing was tested. In CI, where nobody reads that, it fails.
func leftOut(err error) {
	fmt.Printf("left out: ways around a rule, for want of a network namespace: %v\n", err)
	if os.Getenv("CI") == "true" {
		os.Exit(1)
	}
}

// everywhereIsHere makes every address one of this namespace. The address of
// IPv6 is there to be a source for the others.
func everywhereIsHere() error {
	const commands = `
		ip link set lo up
		ip -6 address add 2606:4700::1/128 dev lo nodad
		ip route add local 0.0.0.0/0 dev lo
		ip -6 route add local ::/0 dev lo`
	out, err := exec.Command("sh", "-ec", "PATH=$PATH:/usr/sbin:/sbin\n"+commands).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip(8): %w: %s", err, out)
	}
	return nil
}

// traffic is what the kernel has counted in this namespace.
type traffic struct {
	connects  int // begun, TCP
	datagrams int // sent, UDP over IPv4
}

func countTraffic(t *testing.T) (n traffic) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	return traffic{snmp(t, string(text), "Tcp:", "ActiveOpens"), snmp(t, string(text), "Udp:", "OutDatagrams")}
}

// snmp reads one counter from pairs of lines, names above numbers.
func snmp(t *testing.T, text, protocol, name string) int {
	t.Helper()
	var names []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if f[0] != protocol {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		for i := range names {
			if names[i] == name {
				n, err := strconv.Atoi(f[i])
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
	}
	t.Fatalf("no %s %s in /proc/net/snmp", protocol, name)
	return 0
}
