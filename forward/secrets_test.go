package forward

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/net/dns/dnsmessage"

	"sluice/acl"
	"sluice/internal/gate"
	"sluice/internal/lab"
)

// secrets are what no record and no answer may repeat.
var secrets = []string{"hunter2", base64.StdEncoding.EncodeToString([]byte("ann:hunter2")), "s3cret", "session=", "token="}

func TestNoRecordHasCredentialsOrAQuery(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("hunter2"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	basic := "Basic " + secrets[1]
	users := map[string][]byte{"ann": hash}
	for name, request := range map[string]string{
		"userinfo":                "GET http://ann:hunter2@$O/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"userinfo in CONNECT":     "CONNECT ann:hunter2@$O HTTP/1.1\r\nHost: x\r\n\r\n",
		"userinfo in Host":        "GET http://$O/ HTTP/1.1\r\nHost: ann:hunter2@x\r\n\r\n",
		"userinfo, odd scheme":    "GET ftp://ann:hunter2@$O/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"userinfo, https":         "GET https://ann:hunter2@$O/?token=s3cret HTTP/1.1\r\nHost: x\r\n\r\n",
		"a query":                 "GET http://$O/path?token=s3cret HTTP/1.1\r\nHost: x\r\n\r\n",
		"a query without a path":  "GET http://$O?token=s3cret HTTP/1.1\r\nHost: x\r\n\r\n",
		"a query in CONNECT":      "CONNECT $O?token=s3cret HTTP/1.1\r\nHost: x\r\n\r\n",
		"a fragment":              "GET http://$O/path#token=s3cret HTTP/1.1\r\nHost: x\r\n\r\n",
		"origin-form":             "GET /path?token=s3cret HTTP/1.1\r\nHost: x\r\n\r\n",
		"Authorization":           "GET http://$O/path HTTP/1.1\r\nHost: x\r\nAuthorization: " + basic + "\r\nCookie: session=s3cret\r\n\r\n",
		"Authorization, CONNECT":  "CONNECT $O HTTP/1.1\r\nHost: x\r\nAuthorization: " + basic + "\r\n\r\n",
		"Proxy-Authorization":     "GET http://$O/path HTTP/1.1\r\nHost: x\r\nProxy-Authorization: " + basic + "\r\n\r\n",
		"the same, CONNECT":       "CONNECT $O HTTP/1.1\r\nHost: x\r\nProxy-Authorization: " + basic + "\r\n\r\n",
		"a wrong password":        "CONNECT $O HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("eve:s3cret")) + "\r\n\r\n",
		"another scheme":          "CONNECT $O HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Bearer s3cret\r\n\r\n",
		"credentials twice":       "CONNECT $O HTTP/1.1\r\nHost: x\r\nProxy-Authorization: " + basic + "\r\nProxy-Authorization: " + basic + "\r\n\r\n",
		"a header that is broken": "GET http://$O/ HTTP/1.1\r\nHost: x\r\nAuthorization : " + basic + "\r\n\r\n",
		"a port that is none":     "GET http://ann:hunter2/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"a secret as a method":    "s3cret@hunter2 http://$O/ HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		for _, wantsUser := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", user wanted: ", wantsUser), func(t *testing.T) {
				s := setup{users: users}
				if wantsUser {
					s.rules = []acl.Rule{{Name: "ann", Action: acl.Allow, Users: []string{"ann"}, Ports: everyPort}}
				}
				p, o := newProxy(t, s), newRecorder(t)
				c := p.dial()
				c.send("%s", strings.ReplaceAll(request, "$O", o.addr))
				c.CloseWrite()
				answer := c.rest()
				r := p.record()
				for _, secret := range secrets {
					if strings.Contains(fmt.Sprintf("%+v", r), secret) {
						t.Errorf("%q is in the record %+v", secret, r)
					}
					if strings.Contains(answer, secret) {
						t.Errorf("%q is in the answer %q", secret, answer)
					}
				}
				if raw, _ := o.take(); strings.Contains(raw, "Proxy-Authorization") {
					t.Errorf("the origin got %q", raw)
				}
			})
		}
	}
}

// insideNames is a name server that has 10.11.12.13 for every name.
func insideNames(t *testing.T) netip.AddrPort {
	return lab.NameServer(t, func(m *dnsmessage.Message) bool {
		lab.Has(m, netip.MustParseAddr("10.11.12.13"))
		return true
	})
}

func TestARefusalTellsNoAddressInside(t *testing.T) {
	names := insideNames(t)
	inside := netip.MustParsePrefix("10.0.0.0/8")
	for what, x := range map[string]struct {
		rules   []acl.Rule
		private []netip.Prefix
	}{
		"not public":           {nil, nil},
		"denied as an address": {[]acl.Rule{{Name: "no-lab", Action: acl.Deny, To: []string{"10.11.0.0/16"}, Ports: everyPort}, {Name: "rest", Action: acl.Allow, Ports: everyPort}}, []netip.Prefix{inside}},
	} {
		for _, request := range []string{
			"CONNECT db.inside.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET http://db.inside.example/ HTTP/1.1\r\nHost: x\r\n\r\n",
		} {
			p := newProxy(t, setup{rules: x.rules, policy: func(p *gate.Policy) {
				p.Dialer.Resolver, p.Dialer.AllowPrivate = []netip.AddrPort{names}, x.private
			}})
			c := p.dial()
			io.WriteString(c, request)
			if answer := c.rest(); !strings.HasPrefix(answer, "HTTP/1.1 403 ") || strings.Contains(answer, "10.11") {
				t.Errorf("%s: answer %q", what, answer)
			}
			if r := p.record(); r.Decision != "deny" || !strings.Contains(r.Reason, "10.11.12.13") {
				t.Errorf("%s: the log does not tell it: %+v", what, r)
			}
		}
	}
}
