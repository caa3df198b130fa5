//go:build linux

package dockerhub

import (
	"encoding/json"
	"slices"
	"testing"

	"sluice/internal/lab"
)

func TestTheCheckOfAPresetTellsWhatAnswersFromWhere(t *testing.T) {
	s := newStory(t, "the check of a preset")
	p := s.sluice(t, "--allow", s.blocked.Prefix().String(), "--to", RegistryName, "--to", BlobName, "--to", "hub.docker.com")
	for _, c := range []struct {
		name string
		args []string
		want map[string]string
	}{
		{"direct", nil, map[string]string{
			RegistryName: "ok", AuthName: "ok", BlobName: "no_answer",
			"hub.docker.com": "unclear", // there is no name server
		}},
		{"through the relay", []string{"--proxy", p.URL("http")}, map[string]string{
			RegistryName: "ok", AuthName: "unclear", BlobName: "ok", "hub.docker.com": "no_name",
		}},
		{"through the relay by SOCKS5", []string{"--proxy", p.URL("socks5")}, map[string]string{
			RegistryName: "ok", AuthName: "unclear", BlobName: "ok",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"presets", "--check", "--json", "--timeout", "3s"}, c.args...)
			cmd := s.blocked.Command(t.Context(), lab.Sluice(t), append(args, "docker-hub")...)
			cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+s.hub.CA.File(), "SSL_CERT_DIR=/nonexistent")
			out, err := cmd.Output()
			var report struct {
				Presets []struct {
					Hosts []struct{ Host, Verdict, Sentence string }
				}
			}
			if json.Unmarshal(out, &report) != nil || len(report.Presets) != 1 || cmd.ProcessState.ExitCode() != 1 {
				t.Fatalf("%v: %s", err, out)
			}
			hosts := report.Presets[0].Hosts
			for host, want := range c.want {
				i := slices.IndexFunc(hosts, func(h struct{ Host, Verdict, Sentence string }) bool { return h.Host == host })
				if i < 0 || hosts[i].Verdict != want {
					t.Errorf("%s: want %s in %+v", host, want, hosts)
				}
			}
		})
	}
}
