package suggest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/acl"
	"sluice/internal/config"
	"sluice/internal/presets"
)

// read returns what a log tells.
func read(t testing.TB, log string) *Seen {
	t.Helper()
	s := New()
	if err := s.Read("test.log", strings.NewReader(log)); err != nil {
		t.Fatal(err)
	}
	return s
}

// written returns the file that is suggested, and what it is when it is read.
func written(t testing.TB, s *Seen, o Options, present *Present) (string, *config.Config) {
	t.Helper()
	g, err := s.Suggest(o)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := g.Write(&b, present); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("suggested.toml", b.Bytes(), config.Flags{}, config.Presets{Lookup: presets.Patterns, Names: presets.Names()})
	if err != nil {
		t.Fatalf("it is no valid file: %v\n%s", err, &b)
	}
	return b.String(), cfg
}

// passing is a log of records of what passed, each "client[/user] host:port".
func passing(requests ...string) string {
	var b strings.Builder
	for _, s := range requests {
		b.WriteString(recordOf(s, "observe", "ok"))
	}
	return b.String()
}

func recordOf(s, decision, outcome string) string {
	who, where, _ := strings.Cut(s, " ")
	client, user, _ := strings.Cut(who, "/")
	i := strings.LastIndexByte(where, ':')
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	return fmt.Sprintf(`{"level":"info","time":"2026-11-22T12:00:00Z","msg":"tunnel","client":%s,"user":%s,"host":%s,"port":%s,"decision":%q,"outcome":%q}`+"\n",
		quoted(client), quoted(user), quoted(where[:i]), where[i+1:], decision, outcome)
}

// short tells rules in one line each.
func short(cfg *config.Config) []string {
	var list []string
	for _, r := range cfg.Rules {
		s := strings.Join(r.Clients, " ")
		if len(r.Users) > 0 {
			s += " as " + strings.Join(r.Users, " ")
		}
		s += " to " + strings.Join(r.To, " ")
		if len(r.Ports) > 0 {
			s += fmt.Sprint(" on ", r.Ports)
		}
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

func TestWhatIsSuggested(t *testing.T) {
	for name, c := range map[string]struct {
		seen []string
		o    Options
		want []string
	}{
		"clients that go to the same places": {[]string{"192.0.2.1 a.example:443", "192.0.2.1 b.test:80", "192.0.2.2 b.test:443", "192.0.2.2 a.example:80", "2001:db8::1 b.test:443"}, Options{},
			[]string{"192.0.2.1 192.0.2.2 to a.example b.test", "2001:db8::1 to b.test"}},
		"two names of a domain":   {[]string{"192.0.2.1 a.example.com:443", "192.0.2.1 b.example.com:443"}, Options{}, []string{"192.0.2.1 to a.example.com b.example.com"}},
		"three names of a domain": {[]string{"192.0.2.1 a.example.com:443", "192.0.2.1 b.example.com:443", "192.0.2.1 x.c.example.com:443"}, Options{}, []string{"192.0.2.1 to .example.com"}},
		"a domain below":          {[]string{"192.0.2.1 1.cdn.example.com:443", "192.0.2.1 2.cdn.example.com:443", "192.0.2.1 3.cdn.example.com:443", "192.0.2.1 www.example.com:443"}, Options{}, []string{"192.0.2.1 to .cdn.example.com www.example.com"}},
		"names beside what a cloud lets to anybody": {
			[]string{"192.0.2.1 sts.us-east-1.amazonaws.com:443", "192.0.2.1 ec2.us-east-1.amazonaws.com:443", "192.0.2.1 ssm.us-east-1.amazonaws.com:443"}, Options{},
			[]string{"192.0.2.1 to ec2.us-east-1.amazonaws.com ssm.us-east-1.amazonaws.com sts.us-east-1.amazonaws.com"}},
		"names of which one is let to anybody": {
			[]string{"192.0.2.1 a.mythic-beasts.com:443", "192.0.2.1 b.mythic-beasts.com:443", "192.0.2.1 x.y.caracal.mythic-beasts.com:443"}, Options{},
			[]string{"192.0.2.1 to a.mythic-beasts.com b.mythic-beasts.com x.y.caracal.mythic-beasts.com"}},
		"names of a public suffix": {[]string{"192.0.2.1 a.co.uk:443", "192.0.2.1 b.co.uk:443", "192.0.2.1 c.co.uk:443"}, Options{}, []string{"192.0.2.1 to a.co.uk b.co.uk c.co.uk"}},
		"customers of a cloud": {[]string{"192.0.2.1 a.cloudfront.net:443", "192.0.2.1 b.cloudfront.net:443", "192.0.2.1 c.cloudfront.net:443", "192.0.2.1 a.github.io:443", "192.0.2.1 b.github.io:443", "192.0.2.1 c.github.io:443"}, Options{},
			[]string{"192.0.2.1 to a.github.io b.github.io c.github.io a.cloudfront.net b.cloudfront.net c.cloudfront.net"}},
		"names of one label":           {[]string{"192.0.2.1 a:443", "192.0.2.1 b:443", "192.0.2.1 c:443"}, Options{}, []string{"192.0.2.1 to a b c"}},
		"a preset":                     {[]string{"192.0.2.1 registry-1.docker.io:443", "192.0.2.1 auth.docker.io:443", "192.0.2.1 index.docker.io:443"}, Options{}, []string{"192.0.2.1 to @docker-hub"}},
		"one host of a preset":         {[]string{"192.0.2.1 registry-1.docker.io:443"}, Options{}, []string{"192.0.2.1 to registry-1.docker.io"}},
		"a preset on another port":     {[]string{"192.0.2.1 registry-1.docker.io:8443", "192.0.2.1 auth.docker.io:8443"}, Options{}, []string{"192.0.2.1 to auth.docker.io registry-1.docker.io on [8443]"}},
		"a preset is the client's own": {[]string{"192.0.2.1 registry-1.docker.io:443", "192.0.2.2 auth.docker.io:443"}, Options{}, []string{"192.0.2.1 to registry-1.docker.io", "192.0.2.2 to auth.docker.io"}},
		"a host of another's preset": {[]string{"192.0.2.1 registry-1.docker.io:443", "192.0.2.1 auth.docker.io:443", "192.0.2.1 index.docker.io:443", "192.0.2.2 auth.docker.io:443"}, Options{},
			[]string{"192.0.2.1 to @docker-hub", "192.0.2.2 to auth.docker.io"}},
		"hosts of a preset that is too broad": {[]string{"192.0.2.1 x.docker.io:443", "192.0.2.1 x.docker.com:443", "192.0.2.1 x.cloudfront.net:443"}, Options{}, []string{"192.0.2.1 to x.docker.com x.docker.io x.cloudfront.net"}},
		"parts of a preset":                   {[]string{"192.0.2.1 registry-1.docker.io:443", "192.0.2.1 auth.docker.io:443", "192.0.2.2 auth.docker.io:443", "192.0.2.2 production.cloudflare.docker.com:443"}, Options{}, []string{"192.0.2.1 192.0.2.2 to @docker-hub"}},
		"ports":                               {[]string{"192.0.2.1 a.example:443", "192.0.2.1 a.example:8443", "192.0.2.1 a.example:22"}, Options{}, []string{"192.0.2.1 to a.example on [22 80 443 8443]"}},
		"addresses":                           {[]string{"192.0.2.1 8.8.8.8:443", "192.0.2.1 8.8.8.9:443", "192.0.2.1 8.8.8.10:443", "192.0.2.1 2001:db8::7:443"}, Options{}, []string{"192.0.2.1 to 2001:db8::7 8.8.8.10 8.8.8.8 8.8.8.9"}},
		"networks of them":                    {[]string{"192.0.2.1 8.8.8.8:443", "192.0.2.1 8.8.8.9:443", "192.0.2.1 8.8.8.10:443", "192.0.2.1 8.8.4.4:443"}, Options{Widen: true}, []string{"192.0.2.1 to 8.8.4.4 8.8.8.0/24"}},
		"networks of clients":                 {[]string{"192.0.2.1 a.example:443", "192.0.2.2 a.example:443", "192.0.2.3 a.example:443", "198.51.100.1 a.example:443"}, Options{Widen: true}, []string{"192.0.2.0/24 198.51.100.1 to a.example"}},
		"users":                               {[]string{"192.0.2.1/ann a.example:443", "192.0.2.1/bob a.example:443", "192.0.2.2/ann a.example:443", "192.0.2.3 a.example:443"}, Options{}, []string{"192.0.2.1 as ann bob to a.example", "192.0.2.2 as ann to a.example", "192.0.2.3 to a.example"}},
		"a user whose name is a puzzle":       {[]string{"192.0.2.1/a\"b\\c\u202e\u00e4 a.example:443"}, Options{}, []string{"192.0.2.1 as a\"b\\c\u202e\u00e4 to a.example"}},
		"a mapped client":                     {[]string{"::ffff:192.0.2.1 a.example:443"}, Options{}, []string{"192.0.2.1 to a.example"}},
		"a client with a zone":                {[]string{"fe80::1%eth0 a.example:443"}, Options{}, []string{"fe80::1 to a.example"}},
		"a name that no rule may have":        {[]string{"192.0.2.1 command-line:443"}, Options{}, []string{"192.0.2.1 to command-line"}},
		"blocks that overlap": {[]string{
			"192.0.2.1 a.test:443", "192.0.2.1 b.test:443", "192.0.2.2 a.test:443", "192.0.2.2 b.test:443", "192.0.2.2 c.test:443", "192.0.2.2 d.test:443",
			"192.0.2.3 c.test:443", "192.0.2.3 d.test:443", "192.0.2.4 a.test:443", "192.0.2.4 b.test:443", "192.0.2.4 c.test:443", "192.0.2.4 d.test:443", "192.0.2.4 e.test:443",
			"192.0.2.5 e.test:443", "192.0.2.5 a.test:443", "192.0.2.5 b.test:443"}, Options{},
			[]string{"192.0.2.1 192.0.2.2 192.0.2.4 192.0.2.5 to a.test b.test", "192.0.2.2 192.0.2.3 192.0.2.4 to c.test d.test", "192.0.2.4 192.0.2.5 to e.test"}},
	} {
		text, cfg := written(t, read(t, passing(c.seen...)), c.o, nil)
		if got := short(cfg); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q\n%s", name, got, c.want, text)
		}
	}
}

func TestRotatedLogsAreRead(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprint(z, passing("192.0.2.1 a.example:443"))
	z.Close()
	whole := b.String()
	if s := read(t, whole+whole); s.Passed() != 2 {
		t.Errorf("%d requests were read of two", s.Passed())
	}
	if err := New().Read("cut.gz", strings.NewReader(whole[:len(whole)-9])); err == nil || !strings.Contains(err.Error(), "cut.gz") {
		t.Errorf("one that is cut off: %v", err)
	}
}

func TestTooManyDifferentRequestsAreAnError(t *testing.T) {
	s := New()
	s.most = 2
	log := passing("192.0.2.1 a.example:443", "192.0.2.1 b.example:443", "192.0.2.1 b.example:443")
	if err := s.Read("test.log", strings.NewReader(log)); err != nil {
		t.Fatal(err)
	}
	if err := s.Read("test.log", strings.NewReader(passing("192.0.2.1 c.example:443"))); !errors.Is(err, ErrTooMany) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsLeftOutIsTold(t *testing.T) {
	log := passing("192.0.2.1 a.example:443", "192.0.2.1 inside.test:443") + "\nnonsense\n{\n" + strings.Repeat("x", 3*longestLine) + "\n" +
		`{"msg":"records lost","lost":7}` + "\n" +
		`{"msg":"tunnel","client":"192.0.2.1","outcome":"malformed"}` + "\n" +
		`{"msg":"request","client":"192.0.2.1","path":"/setup/docker","decision":"allow","outcome":"ok"}` + "\n" +
		recordOf("192.0.2.1/a:b a.example:443", "allow", "ok") +
		recordOf("192.0.2.9 evil.example:25", "deny", "rule_denied") +
		recordOf("192.0.2.1 b.test:443", "observe", "timeout") +
		recordOf("192.0.2.1 169.254.169.254:80", "deny", "address_not_public") +
		`{"msg":"progress","time":"2026-11-22T12:00:00Z","client":"192.0.2.1","host":"long.example","port":443,"decision":"allow","address":"10.0.0.7:443"}` + "\n" +
		"1700000000.123      4 192.0.2.1 TCP_MISS/200 5 GET ftp://a.example/x - HIER_DIRECT/8.8.8.8 -\n" +
		"1700000000.123      4 192.0.2.1 TCP_DENIED/403 5 CONNECT ads.example:443 - HIER_NONE/- -\n" +
		"1700000000.123      4 192.0.2.1 NONE_NONE/000 5 - error:transaction-end-before-headers - HIER_NONE/- -\n"
	present, err := acl.New([]acl.Rule{{Name: "old", Action: acl.Allow, Clients: []string{"192.0.2.0/24"}, To: []string{"a.example"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, cfg := written(t, read(t, log), Options{}, &Present{"old.toml", present.Observing(false)})
	want := []string{
		"# From 9 records: 2 requests passed, of 1 client to 3 destinations.",
		`#   lines in neither Sluice's JSON nor Squid's native format: 3, the first at "test.log:4"`,
		"#   lines that tell of no request: 3",
		"#   requests without a destination that could be read: 1",
		"#   requests of users whose names cannot be in a file: 1",
		"#   requests for other than http and https: 1",
		"# The rules of \"old.toml\" would have refused what passed:\n#   192.0.2.1 to inside.test:443: 1 request, the last on 2026-11-22T12:00:00Z (no rule lets 192.0.2.1 reach inside.test:443; rule old admits this client, but not to that host)",
		"# Refused by a rule, and by the rules below:\n#   192.0.2.9 to evil.example:25: 1 request",
		"#   192.0.2.1 to ads.example:443: 1 request, the last on 2023-11-14T22:13:20Z\n",
		"#   192.0.2.1 to b.test:443: 1 request, the last on 2026-11-22T12:00:00Z (timeout)",
		"#   192.0.2.1 to 169.254.169.254:80: 1 request, the last on 2026-11-22T12:00:00Z (address_not_public)",
		`#   allow_private = ["10.0.0.7"]`,
	}
	for _, line := range want {
		if !strings.Contains(text, line) {
			t.Errorf("there is no %q in\n%s", line, text)
		}
	}
	if got := short(cfg); !slices.Equal(got, []string{"192.0.2.1 to a.example long.example inside.test"}) {
		t.Errorf("rules %q", got)
	}
	if len(cfg.Egress.AllowPrivate) > 0 {
		t.Error("it opens addresses that are not public")
	}
}

// Of logs the later one may be read first, as a shell sorts access.log and access.log.1.
func TestTheLastRequestIsTheLatestOfAllLogs(t *testing.T) {
	late := passing("192.0.2.1 a.example:443")
	early := strings.ReplaceAll(late, "2026-11-22", "2026-11-21")
	text, _ := written(t, read(t, late+early), Options{}, nil)
	if !strings.Contains(text, "# 2 requests, the last on 2026-11-22T12:00:00Z\n") {
		t.Errorf("another time is told in\n%s", text)
	}
}

// What rules have refused is told apart from what the rules suggested let in again.
func TestWhatWasRefusedAndWouldNotBeIsTold(t *testing.T) {
	log := passing("192.0.2.1 a.example.com:443", "192.0.2.1 b.example.com:443", "192.0.2.1 c.example.com:443") +
		recordOf("192.0.2.1 d.example.com:443", "deny", "rule_denied") + recordOf("192.0.2.1 evil.test:443", "deny", "rule_denied")
	text, cfg := written(t, read(t, log), Options{}, nil)
	if !strings.Contains(text, "# Refused by a rule, and allowed by the rules below:\n#   192.0.2.1 to d.example.com:443") {
		t.Errorf("not told in\n%s", text)
	}
	if got := short(cfg); !slices.Equal(got, []string{"192.0.2.1 to .example.com"}) {
		t.Errorf("rules %q", got)
	}
	if _, cfg := written(t, read(t, log), Options{Refused: true}, nil); !slices.Equal(short(cfg), []string{"192.0.2.1 to .example.com evil.test"}) {
		t.Errorf("with what was refused: %q", short(cfg))
	}
}

func TestWhatSquidWrites(t *testing.T) {
	for line, want := range map[string]string{
		"1700000000.123    456 192.0.2.1 TCP_TUNNEL/200 5120 CONNECT a.example:443 - HIER_DIRECT/203.0.113.7 -":                   "passed  a.example:443 at 203.0.113.7",
		"1700000000.123    456 ::1 TCP_TUNNEL/200 5120 CONNECT [2001:db8::1]:8443 - HIER_DIRECT/2001:db8::1 -":                    "passed  [2001:db8::1]:8443 at 2001:db8::1",
		"1700000000.123    456 192.0.2.1 TCP_MISS/404 5120 GET http://u:p@A.Example/x?http://b.test/ an%6e HIER_DIRECT/8.8.8.8 t": "passed ann a.example:80 at 8.8.8.8",
		"1700000000.123    456 192.0.2.1 TCP_MISS/200 5120 GET https://a.example?x ann DIRECT/8.8.8.8 t":                          "passed ann a.example:443 at 8.8.8.8",
		"1700000000.123    456 192.0.2.1 TCP_MEM_HIT/200 5120 GET http://a.example:8080/ - HIER_NONE/- text/html":                 "passed  a.example:8080",
		"1700000000.123    456 192.0.2.1 TCP_MISS/200 5120 GET http://a.example/ - FIRSTUP_PARENT/10.0.0.1 text/html":             "passed  a.example:80",
		"1700000000.123    456 192.0.2.1 TCP_DENIED/403 5120 CONNECT a.example:25 - HIER_NONE/- -":                                "refused  a.example:25",
		"1700000000.123    456 192.0.2.1 TCP_DENIED/407 5120 CONNECT a.example:443 - HIER_NONE/- -":                               "failed  a.example:443",
		"1700000000.123    456 192.0.2.1 NONE/503 5120 CONNECT a.example:443 - HIER_NONE/- -":                                     "failed  a.example:443",
		"1700000000.123      0 192.0.2.1 UDP_MISS/000 52 ICP_QUERY http://a.example/ - HIER_NONE/- -":                             errOther.Error(),
		"1700000000.123      0 - NONE/000 0 NONE error:records-lost:12 - HIER_NONE/- -":                                           errOther.Error(),
		"1700000000.123      0 192.0.2.1 NONE/200 0 GET internal:/setup/docker - HIER_NONE/- -":                                   errOther.Error(),
		"1700000000.123      0 host.name TCP_MISS/200 0 GET http://a.example/ - HIER_DIRECT/8.8.8.8 -":                            errMalformed.Error(),
		"1700000000.123      0 192.0.2.1 TCP_MISS/200 0 GET ftp://a.example/ - HIER_DIRECT/8.8.8.8 -":                             errScheme.Error(),
		"1700000000.123      0 192.0.2.1 TCP_MISS/200 0 GET http://a..b/ - HIER_DIRECT/8.8.8.8 -":                                 errUnread.Error(),
		"1700000000.123      0 192.0.2.1 \x1b[31m/200 0 GET http://a.example/ - HIER_DIRECT/8.8.8.8 -":                            errMalformed.Error(),
		"NaN      0 192.0.2.1 TCP_MISS/200 0 GET http://a.example/ - HIER_DIRECT/8.8.8.8 -":                                       errMalformed.Error(),
		"1700000000.123      0 192.0.2.1": errMalformed.Error(),
	} {
		e, err := parse([]byte(line))
		got := fmt.Sprintf("%s %s %s", [...]string{"passed", "refused", "failed"}[e.verdict], e.user, e.host.Join(e.port))
		if e.address.IsValid() {
			got += " at " + e.address.String()
		}
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", line, got, want)
		}
	}
}

// Whatever stands in a log, what is made of it is a valid file that allows what
// passed and prints nothing that a terminal obeys.
func FuzzLog(f *testing.F) {
	f.Add(passing("192.0.2.1/ann a.example:443", "192.0.2.1 [2001:db8::1]:22"))
	f.Add("1700000000.123    456 192.0.2.1 TCP_TUNNEL/200 5120 CONNECT a.example:443 an%6e HIER_DIRECT/10.0.0.1 -\n")
	f.Add(recordOf("192.0.2.1/\u202eann xn--bcher-kva.example:1", "deny", "rule_denied"))
	f.Fuzz(func(t *testing.T, log string) {
		s := New()
		if s.Read("fuzz", strings.NewReader(log)) != nil {
			return
		}
		text, cfg := written(t, s, Options{Refused: true}, &Present{"fuzz", nil})
		for k := range s.passed {
			if cfg.Policy.Decide(k.request()).Action != acl.Allow {
				t.Fatalf("%v is not allowed by\n%s", k, text)
			}
		}
		for _, r := range text {
			if r != '\n' && (r < ' ' || r > '~') {
				t.Fatalf("%q in\n%q", r, text)
			}
		}
	})
}
