//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"

	"sluice/internal/netns"
)

// builtDir is the variable that tells the bench, started anew in a network
// namespace, where it had put what it measures.
const builtDir = "SLUICE_BENCH_DIR"

// tcpSettings are the kernel's own defaults, but for the congestion control,
// which is Reno for being the one that a namespace may always choose: nothing is
// lost on loopback. A machine set to BBR would pace there, and its timers would
// cost more than the relaying.
var tcpSettings = [][2]string{
	{"net.ipv4.tcp_congestion_control", "reno"},
	{"net.ipv4.tcp_rmem", "4096 131072 6291456"},
	{"net.ipv4.tcp_wmem", "4096 16384 4194304"},
	{"net.ipv4.tcp_tw_reuse", "2"},
	{"net.ipv4.ip_local_port_range", "32768 60999"},
	{"net.core.somaxconn", "4096"},
}

// settleIn makes the namespace fit for use.
func settleIn() error {
	if err := netns.LoopbackUp(); err != nil {
		return err
	}
	for _, s := range tcpSettings {
		if err := os.WriteFile(sysctlPath(s[0]), []byte(s[1]), 0); err != nil {
			return fmt.Errorf("set %s: %w", s[0], err)
		}
	}
	return nil
}

func sysctlPath(name string) string { return "/proc/sys/" + strings.ReplaceAll(name, ".", "/") }

func sysctl(name string) string {
	text, err := os.ReadFile(sysctlPath(name))
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text)), " ")
}
