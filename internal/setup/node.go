package setup

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Where a node that kubeadm or K3s made says what its cluster's ranges are. The
// manifests are on nodes of the control plane only; a network plugin's configuration
// is on every node.
var nodeFiles = []struct{ glob, pods, services, server string }{
	{
		glob:     "/etc/kubernetes/manifests/kube-*.yaml",
		pods:     `--cluster-cidr=([0-9a-fA-F.:/,]+)`,
		services: `--service-cluster-ip-range=([0-9a-fA-F.:/,]+)`,
	},
	{glob: "/etc/rancher/k3s/config.yaml", pods: `(?m)^cluster-cidr:\s*"?([0-9a-fA-F.:/,]+)`, services: `(?m)^service-cidr:\s*"?([0-9a-fA-F.:/,]+)`},
	{glob: "/etc/rancher/rke2/config.yaml", pods: `(?m)^cluster-cidr:\s*"?([0-9a-fA-F.:/,]+)`, services: `(?m)^service-cidr:\s*"?([0-9a-fA-F.:/,]+)`},
	{glob: "/run/flannel/subnet.env", pods: `FLANNEL_NETWORK=([0-9a-fA-F.:/]+)`},
	{glob: "/etc/kubernetes/kubelet.conf", server: `server:\s*https://([^\s:/]+|\[[0-9a-fA-F:]+\])`},
}

// ReadNode adds what this machine says of its cluster to the options, where they do
// not say it: ranges, and the addresses of the API server and of this node.
func (s System) ReadNode(o *Options) {
	// K3s and RKE2 have other defaults than kubeadm.
	rancher := exists(s.path("/etc/rancher")) || exists(s.path("/var/lib/rancher"))
	var pods, services []string
	for _, f := range nodeFiles {
		paths, err := filepath.Glob(s.path(f.glob))
		if err != nil {
			continue // never: the patterns are ours
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				continue // not for us to see; the defaults stand
			}
			pods = append(pods, ranges(string(text), f.pods)...)
			services = append(services, ranges(string(text), f.services)...)
			if m := match(string(text), f.server); m != "" && exception(m) == nil {
				o.Nodes = append(o.Nodes, strings.Trim(m, "[]"))
			}
		}
	}
	if rancher {
		pods, services = append(pods, "10.42.0.0/16"), append(services, "10.43.0.0/16")
	}
	if len(o.Pods) == 0 {
		o.Pods = unique(pods)
	}
	if len(o.Services) == 0 {
		o.Services = unique(services)
	}
	o.Nodes = unique(o.Nodes, addresses())
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func match(text, pattern string) string {
	if pattern == "" {
		return ""
	}
	if m := regexp.MustCompile(pattern).FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// ranges are the CIDRs of an option, of which there are two with two families.
func ranges(text, pattern string) []string {
	return slices.DeleteFunc(strings.Split(match(text, pattern), ","), func(entry string) bool {
		_, err := netip.ParsePrefix(entry)
		return err != nil
	})
}

// addresses are this machine's own that others can reach.
func addresses() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var own []string
	for _, a := range all {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().IsGlobalUnicast() {
			own = append(own, prefix.Addr().String())
		}
	}
	return own
}
