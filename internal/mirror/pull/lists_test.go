package pull_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/mirror/pull"
)

// Some registries show lists to those who may not pull: an empty one of referrers is a
// usual answer about whatever repository.
func TestWhoSeesAListOfAPrivateRepositoryDoesNotGetItsContent(t *testing.T) {
	s := newSecret(t, false)
	lists := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/tags/") && !strings.Contains(r.URL.Path, "/referrers/") {
			return false
		}
		_, _ = io.WriteString(w, `{"tags":["1"],"manifests":[]}`)
		return true
	}
	s.hub.instead(lists)
	for who, change := range map[string]func(*pull.Request){"nobody": func(*pull.Request) {}, "bob": with(bob)} {
		for _, path := range []string{"tags/list", "referrers/" + string(s.manifest)} {
			for what, ask := range map[string]func() string{
				"the tag":      func() string { return first(s.site.manifest("acme/app:1", change)) },
				"the manifest": func() string { return first(s.site.manifest("acme/app@"+string(s.manifest), change)) },
				"the blob":     func() string { return first(s.site.blob("acme/app@"+string(s.blob), change)) },
			} {
				s.pass(2 * ttl) // what was found out before counts no more
				r := s.request("acme/app:1")
				change(&r)
				resp, err := s.Passed(t.Context(), r, path, "")
				if err != nil {
					t.Fatalf("%s: %s: %v", who, path, err)
				}
				resp.Body.Close()
				if how := ask(); how != "403 DENIED" {
					t.Errorf("%s, who has seen %s, gets %s: %s", who, path, what, how)
				}
			}
		}
	}
}

func TestAListThatIsRefusedSaysNothingOfAPublicRepository(t *testing.T) {
	hub := newRegistry(t)
	s := newSite(t, hub, false)
	hub.image("library/alpine", "3", noise(1, 1000))
	hub.instead(func(w http.ResponseWriter, r *http.Request) bool {
		list := strings.Contains(r.URL.Path, "/tags/")
		if list {
			w.WriteHeader(http.StatusForbidden)
		}
		return list
	})
	if resp, err := s.Passed(t.Context(), s.request("alpine:3"), "tags/list", ""); err == nil {
		resp.Body.Close()
		t.Error("the list was not refused")
	}
	if _, how := s.manifest("alpine:3"); how != pull.Miss {
		t.Errorf("its image after that: %s", how)
	}
}

// A gateway that has one answer for everything has let nobody see the repository.
func TestAnAnswerAboutSomethingElseGivesNothingPrivateAway(t *testing.T) {
	s := newSecret(t, false)
	s.hub.instead(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "18")
		_, _ = io.WriteString(w, `{"please":"log in"}`[:18])
		return true
	})
	s.pass(2 * ttl)
	for what, how := range map[string]string{
		"the manifest": first(s.site.manifest("acme/app@" + string(s.manifest))),
		"the blob":     first(s.site.blob("acme/app@" + string(s.blob))),
	} {
		if how != "502 UNKNOWN" {
			t.Errorf("%s: %s", what, how)
		}
	}
}
