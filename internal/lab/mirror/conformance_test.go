//go:build linux

package mirror

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sluice/internal/lab"
	"sluice/internal/lab/registry"
)

// The suite of the specification's authors, told to read what there is and to write
// nothing.
func TestTheOfficialSuiteFindsThePullSideConformant(t *testing.T) {
	s := newSite(t, "the conformance suite of the OCI")
	suite := lab.Tool(t, "conformance")
	r := s.registry(t, registry.Options{Name: "registry.acme.example", OCI: true})
	image := r.Push(t, "acme/tool", "1", nil, registry.Noise(t, 1, 100_000), registry.Noise(t, 2, 1_000))
	list := r.PushList(t, image, "latest")
	r.Instead(newer)
	s.serve(t, plain+admits+"\n[[upstream]]\nname = \"registry.acme.example\"\n")
	env := []string{
		"OCI_REGISTRY=" + mirrorName + ":5000", "OCI_TLS=disabled", "OCI_RESULTS_DIR=" + t.TempDir(),
		"OCI_REPO1=registry.acme.example/acme/tool", "OCI_REPO2=registry.acme.example/acme/none",
		"OCI_API_PUSH=false", "OCI_API_BLOBS_DELETE=false", "OCI_API_MANIFESTS_DELETE=false", "OCI_API_TAGS_DELETE=false",
		"OCI_API_BLOBS_DIGEST_HEADER=true", // of manifests that it has not written it finds none, whatever comes
		"OCI_RO_DATA_TAGS=1 latest", "OCI_RO_DATA_MANIFESTS=" + image.Digest + " " + list,
		"OCI_RO_DATA_BLOBS=" + image.Config + " " + strings.Join(image.Layers, " "),
		"OCI_RO_DATA_REFERRERS=" + image.Digest,
	}
	for _, when := range []string{"fetched", "cached"} {
		// Told to write nothing, the suite falls over its own data when it writes its
		// files, behind the report: the exit status says nothing.
		said, _ := s.try(t, s.client, env, suite)
		counts := make(map[string]string)
		for _, m := range regexp.MustCompile(`(?m)^  (Pass|FAIL|Error|Skip)\.+: +(\d+)$`).FindAllStringSubmatch(said, -1) {
			counts[m[1]] = m[2]
		}
		t.Logf("%s: %v", when, counts)
		passed, _ := strconv.Atoi(counts["Pass"])
		if passed < 20 || counts["FAIL"] != "0" || counts["Error"] != "0" || counts["Skip"] != "0" {
			t.Errorf("%s: %s", when, said)
		}
	}
}

// newer answers what Debian's docker-registry knows nothing of: lists of tags in parts, and
// referrers. Nothing refers to an image but one artifact, which is not there.
func newer(w http.ResponseWriter, req *http.Request) bool {
	switch {
	case strings.HasSuffix(req.URL.Path, "/tool/tags/list"):
		var tags []string
		for _, tag := range []string{"1", "latest", "latest-s390x"} {
			if tag > req.URL.Query().Get("last") {
				tags = append(tags, tag)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"name": "acme/tool", "tags": tags})
	case strings.Contains(req.URL.Path, "/referrers/"):
		const index = "application/vnd.oci.image.index.v1+json"
		w.Header().Set("Content-Type", index)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"schemaVersion": 2, "mediaType": index,
			"manifests": []map[string]any{{
				"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1234,
				"digest":       "sha256:" + strings.Repeat("ab", 32),
				"artifactType": "application/vnd.example.signature",
			}},
		})
	default:
		return false
	}
	return true
}
