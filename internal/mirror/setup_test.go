package mirror

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/mirror/trust"
)

// What curl fetches from a mirror that it does not trust yet is held against a sum that
// the mirror's own host has told.
func TestAScriptIsServedAsItsSumSays(t *testing.T) {
	o := newOrigin(t)
	r := run(t, strings.Replace(text(t, o, "[transparent]\naddress = \"127.0.0.1:0\"\n"), "[[upstream]]", "tls = \"self\"\n[[upstream]]", 1))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	f, host := r.force.Load(), r.Addrs()[0].String()
	told := Told(f.cfg, f.cfg.Listeners[0], host, f.authority.PEM())
	for _, name := range trust.Names(told) {
		resp, err := client.Get("https://" + host + "/setup/" + name + ".sh")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		sum := sha256.Sum256(body)
		if err != nil || resp.StatusCode != 200 || !strings.Contains(told.Command(name), hex.EncodeToString(sum[:])) {
			t.Errorf("%s: %d, %v, %s\n%s", name, resp.StatusCode, err, told.Command(name), body)
		}
	}
	if len(trust.Names(told)) != 6 {
		t.Errorf("there are %v", trust.Names(told))
	}
}

func TestTheTransparentWayIsToldAsItsClientsReachIt(t *testing.T) {
	for _, x := range [][3]string{
		{":3128", "mirror.example.com:5000", "mirror.example.com:3128"},
		{"0.0.0.0:3128", "192.0.2.7", "192.0.2.7:3128"},
		{"[::]:3128", "[2001:db8::7]:5000", "[2001:db8::7]:3128"},
		{":3128", "[2001:db8::7]", "[2001:db8::7]:3128"},
		{"192.0.2.9:3128", "mirror.example.com:5000", "192.0.2.9:3128"},
		{"127.0.0.1:3128", "mirror.example.com:5000", ""},
		{"127.0.0.1:3128", "localhost:5000", "127.0.0.1:3128"},
		{"proxy.example.com:3128", "mirror.example.com:5000", "proxy.example.com:3128"},
	} {
		if got := transparentAt(x[0], x[1]); got != x[2] {
			t.Errorf("of %s, clients of %s are told %q, want %q", x[0], x[1], got, x[2])
		}
	}
}
