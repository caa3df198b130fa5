package setup

import "strings"

// Ranges that kubeadm and the most common networks take when nothing else is said.
const (
	DefaultPods     = "10.244.0.0/16" // flannel's, as in kubeadm's own instructions
	DefaultServices = "10.96.0.0/12"  // kubeadm's
)

// kubernetes is a node: what the kubelet and its container runtime fetch.
func kubernetes() Client {
	const stays = "the kubelet and the container runtime restart; pods go on"
	return Client{
		Name:        "kubernetes",
		Purpose:     "images that a Kubernetes node pulls, and what its kubelet fetches",
		Destination: "registry.k8s.io:443",
		SOCKS:       "yes: the kubelet and containerd leave the look-up of names to the proxy",
		Places: []Place{
			{
				Name:     "k3s",
				Where:    "where K3s runs as a server",
				Test:     runs("k3s.service"),
				Files:    []File{{Path: "/etc/systemd/system/k3s.service.env", Format: Environment, Settings: nodeEnvironment}},
				Reload:   []string{"systemctl restart k3s"},
				Disturbs: stays,
			},
			{
				Name:     "k3s-agent",
				Where:    "where K3s runs as an agent",
				Test:     runs("k3s-agent.service"),
				Files:    []File{{Path: "/etc/systemd/system/k3s-agent.service.env", Format: Environment, Settings: nodeEnvironment}},
				Reload:   []string{"systemctl restart k3s-agent"},
				Disturbs: stays,
			},
			{
				Name:     "rke2-server",
				Where:    "where RKE2 runs as a server",
				Test:     runs("rke2-server.service"),
				Files:    []File{{Path: "/etc/default/rke2-server", Format: Environment, Settings: nodeEnvironment}},
				Reload:   []string{"systemctl restart rke2-server"},
				Disturbs: stays,
			},
			{
				Name:     "rke2-agent",
				Where:    "where RKE2 runs as an agent",
				Test:     runs("rke2-agent.service"),
				Files:    []File{{Path: "/etc/default/rke2-agent", Format: Environment, Settings: nodeEnvironment}},
				Reload:   []string{"systemctl restart rke2-agent"},
				Disturbs: stays,
			},
			{
				Name:     "cri-o",
				Where:    "where the runtime is CRI-O",
				Test:     runs("kubelet.service") + " && " + runs("crio.service"),
				Files:    []File{dropIn("crio.service", nodeEnvironment), dropIn("kubelet.service", nodeEnvironment)},
				Reload:   []string{"systemctl daemon-reload", "systemctl restart crio kubelet"},
				Disturbs: stays,
			},
			{
				Name:     "containerd",
				Where:    "elsewhere, where the runtime is containerd (kubeadm)",
				Test:     runs("kubelet.service") + " && " + runs("containerd.service"),
				Files:    []File{dropIn("containerd.service", nodeEnvironment), dropIn("kubelet.service", nodeEnvironment)},
				Reload:   []string{"systemctl daemon-reload", "systemctl restart containerd kubelet"},
				Disturbs: stays,
			},
		},
		Verify: Check{Command: `for p in containerd crio k3s rke2; do tr '\0' '\n' <"/proc/$(pidof -s $p)/environ" | grep -i proxy; done 2>/dev/null`},
		Notes: []string{
			"Do it on every node. Pods get nothing of it: their proxy stands in their own manifests.",
			"kubeadm init and join copy the proxy variables of their own shell into the control plane's manifests: set NO_PROXY there as well, or unset all three.",
			"The kubelet, the API server and pods talk by address: without the pods', the services' and the nodes' ranges in NO_PROXY they would ask the proxy for one another. Nodes on other networks than this one's have to be named in --no-proxy.",
			"A CIDR in NO_PROXY holds for addresses, never for names; .svc and .cluster.local are there for those.",
		},
	}
}

// nodeEnvironment keeps what a cluster says to itself away from the proxy.
func nodeEnvironment(o Options) []Setting {
	settings := environment(o)
	settings[len(settings)-1].Value = strings.Join(unique(o.GoExceptions(), o.pods(), o.services(), o.Nodes, []string{".svc", ".cluster.local"}), ",")
	return settings
}

func (o Options) pods() []string {
	if len(o.Pods) == 0 {
		return []string{DefaultPods}
	}
	return o.Pods
}

func (o Options) services() []string {
	if len(o.Services) == 0 {
		return []string{DefaultServices}
	}
	return o.Services
}
