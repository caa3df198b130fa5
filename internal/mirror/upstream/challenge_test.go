package upstream

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChallengesAreReadAsRFC9110Section11WritesThem(t *testing.T) {
	bearer := challenge{scheme: "bearer", params: map[string]string{
		"realm": "https://auth.docker.io/token", "service": "registry.docker.io", "scope": "repository:library/alpine:pull,push"}}
	const bearerText = `Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull,push"`
	basic := challenge{scheme: "basic", params: map[string]string{"realm": "a, b"}}
	for name, c := range map[string]struct {
		fields []string
		want   []challenge
	}{
		"none":                          {nil, nil},
		"Docker Hub's":                  {[]string{bearerText}, []challenge{bearer}},
		"two in one field":              {[]string{`Basic realm="a, b", ` + bearerText}, []challenge{basic, bearer}},
		"two the other way round":       {[]string{bearerText + ` ,Basic realm="a, b"`}, []challenge{bearer, basic}},
		"two fields":                    {[]string{bearerText, `BASIC Realm="a, b"`}, []challenge{bearer, basic}},
		"the section's own example":     {[]string{`Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple"`}, []challenge{{scheme: "newauth", params: map[string]string{"realm": "apps", "type": "1", "title": `Login to "apps"`}}, {scheme: "basic", params: map[string]string{"realm": "simple"}}}},
		"a scheme alone":                {[]string{"Negotiate"}, []challenge{{scheme: "negotiate"}}},
		"a scheme alone, then another":  {[]string{`Negotiate, Basic realm="a, b"`}, []challenge{{scheme: "negotiate"}, basic}},
		"a token68":                     {[]string{"NTLM TlRM/+TVNTUAA=="}, []challenge{{scheme: "ntlm", token68: "TlRM/+TVNTUAA=="}}},
		"a token68, then another":       {[]string{`NTLM abc= , Basic realm="a, b"`}, []challenge{{scheme: "ntlm", token68: "abc="}, basic}},
		"blanks and empty elements":     {[]string{", ,Basic \t realm = \"a, b\" ,, "}, []challenge{basic}},
		"a quote that does not close":   {[]string{`Basic realm="a, b", Bearer realm="https://x`}, []challenge{basic}},
		"two parameters without commas": {[]string{`Basic realm="a" charset="b"`}, nil},
		"a name that comes twice":       {[]string{`Bearer realm="https://a",realm="https://b"`}, nil},
		"no scheme":                     {[]string{`="x"`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseChallenges(c.fields)
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(challenge{})); diff != "" {
				t.Errorf("%q (-want +got):\n%s", c.fields, diff)
			}
		})
	}
}

func TestOfVeryManyChallengesAFewAreRead(t *testing.T) {
	got := parseChallenges([]string{strings.Repeat("Basic x=y, ", 10_000)})
	if len(got) != maxChallenges {
		t.Errorf("%d challenges, want %d", len(got), maxChallenges)
	}
}

// What was understood, written anew, must be understood the same way.
func FuzzChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://auth.example/token",service="s",scope="repository:a/b:pull,push"`)
	f.Add(`Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple"`)
	f.Add("NTLM TlRM/+==, Negotiate, ,Basic a = b")
	f.Fuzz(func(t *testing.T, field string) {
		first := parseChallenges([]string{field})
		second := parseChallenges([]string{render(first)})
		if diff := cmp.Diff(first, second, cmp.AllowUnexported(challenge{})); diff != "" {
			t.Errorf("%q was read, and what was understood of it reads otherwise (-first +second):\n%s", field, diff)
		}
	})
}

func render(list []challenge) string {
	texts := make([]string, len(list))
	for i, c := range list {
		var params []string
		for _, name := range slices.Sorted(maps.Keys(c.params)) {
			params = append(params, fmt.Sprintf(`%s="%s"`, name, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(c.params[name])))
		}
		texts[i] = strings.TrimSpace(c.scheme + " " + c.token68 + strings.Join(params, ", "))
	}
	return strings.Join(texts, ", ")
}
