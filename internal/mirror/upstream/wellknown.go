package upstream

import (
	"slices"
	"strings"

	"sluice/internal/presets"
)

// Known is what is known of a public registry.
type Known struct {
	URL        string   // where it answers
	Aliases    []string // other names of it in image names and configurations
	RealmHosts []string // that give its tokens
	BlobHosts  []string // that it redirects to: names, or "*.example.com"; nil: it serves all itself
	Date       string   // of the newest state of the source that the hosts were compared with, as 2026-01-31; "": unknown
	Source     string   // https address of the vendor's own list or documentation
}

// WellKnown returns what is known of a registry by its name in image names. Its
// blob hosts come from package presets, which says where they are from; those of
// public.ecr.aws, of which there is no preset, from the list of hosts that Amazon's
// EKS Anywhere needs. The caller owns the result.
func WellKnown(name string) (Known, bool) {
	switch {
	case name == "docker.io":
		return fromPreset("docker-hub", Known{
			URL: "https://registry-1.docker.io", Aliases: []string{"index.docker.io", "registry-1.docker.io"},
			RealmHosts: []string{"auth.docker.io"},
		}), true
	case name == "ghcr.io":
		return fromPreset("ghcr", itself(name)), true
	case name == "quay.io":
		return fromPreset("quay", itself(name)), true
	case name == "registry.k8s.io":
		k := fromPreset("k8s", itself(name))
		k.RealmHosts = nil // it wants no tokens
		return k, true
	case name == "mcr.microsoft.com":
		return fromPreset("mcr", itself(name)), true
	case name == "gcr.io", strings.HasSuffix(name, ".gcr.io"), strings.HasSuffix(name, ".pkg.dev"):
		return fromPreset("gcr", itself(name)), true
	case name == "public.ecr.aws":
		k := itself(name)
		k.BlobHosts = []string{"d2glxqk2uabbnd.cloudfront.net", "d5l0dvt14r5h8.cloudfront.net"}
		k.Source = "https://github.com/aws/eks-anywhere" // its documentation, on prerequisites
		return k, true
	}
	return Known{}, false
}

// itself is a registry that answers under its own name and gives its tokens there.
func itself(name string) Known {
	return Known{URL: "https://" + name, RealmHosts: []string{name}}
}

// fromPreset fills in the hosts that a preset has for blobs.
func fromPreset(preset string, k Known) Known {
	p, ok := presets.Lookup(preset)
	if !ok {
		return k
	}
	k.Date, k.Source = p.Date, p.Source
	for _, h := range p.Hosts {
		if strings.Contains(h.Purpose, "blobs") && !strings.HasPrefix(h.Purpose, "the registry") {
			k.BlobHosts = append(k.BlobHosts, h.Name)
		}
	}
	k.BlobHosts = slices.Clip(k.BlobHosts)
	return k
}
