//go:build linux

package endtoend

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"sluice/internal/config"
	"sluice/internal/presets"
	"sluice/internal/suggest"
)

// A proxy that observes, the rules that its log suggests, and a proxy that enforces
// them: what passed passes, what was not seen does not.
func TestRulesThatAnObservedLogSuggests(t *testing.T) {
	for _, format := range []string{"json", "squid"} {
		t.Run(format, func(t *testing.T) {
			origin, unseen := play(t, greeter), play(t, greeter)
			names := fmt.Sprintf("[egress]\nallow_private = [\"127.0.0.1\"]\nresolver = [%q]\n", nameServer(t))
			seen := []string{origin.String(), fmt.Sprint(nameHere, ":", origin.Port())}
			asked := func(to string) request { return request{to: to, lines: "Connection: close\r\n"} }

			observing := serveWith(t, "mode = \"observe\"\n", fmt.Sprintf("[[rule]]\nname = \"lab\"\naction = \"allow\"\nclients = [\"127.0.0.1\"]\nto = [\"elsewhere.test\"]\n%s[log]\nformat = %q\n", names, format))
			for i, w := range ways {
				for j, to := range append(seen, "169.254.169.254:80") {
					if answer := observing.told(w, asked(to)); strings.HasSuffix(answer, "\r\n\r\nhi") != (j < len(seen)) {
						t.Errorf("%s to %s: %q", w, to, answer)
					}
					observing.lines(3*i + j + 1)
				}
			}

			log := suggest.New()
			if err := log.Read("access.log", strings.NewReader(observing.log.String())); err != nil {
				t.Fatal(err)
			}
			s, err := log.Suggest(suggest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var rules bytes.Buffer
			if err := s.Write(&rules, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Parse("suggested.toml", rules.Bytes(), config.Flags{}, config.Presets{Lookup: presets.Patterns}); err != nil {
				t.Fatal(err)
			}

			enforcing := serve(t, rules.String()+"\n"+names)
			for _, w := range ways {
				for _, to := range seen {
					if answer, r := enforcing.ask(w, asked(to)); !strings.HasSuffix(answer, "\r\n\r\nhi") || r.text("decision") != "allow" {
						t.Errorf("%s to %s: %q, %v\n%s", w, to, answer, r, &rules)
					}
				}
				for _, to := range []string{unseen.String(), fmt.Sprint(nameHere, ":", unseen.Port()), fmt.Sprint("localhost:", origin.Port()), "169.254.169.254:80"} {
					if answer, r := enforcing.ask(w, asked(to)); strings.HasSuffix(answer, "\r\n\r\nhi") || r.text("decision") != "deny" || r.text("outcome") != "rule_denied" {
						t.Errorf("%s to %s, which was not seen: %q, %v\n%s", w, to, answer, r, &rules)
					}
				}
			}
		})
	}
}
