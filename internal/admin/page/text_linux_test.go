package page_test

import (
	"sluice/internal/lab/browser"
	"testing"
	"time"
)

func TestFiguresAndTimesReadAsTheConfigurationSpellsThem(t *testing.T) {
	f := newFeed(t, func() object { return starting() })
	b := browser.New(t)
	b.Open(f.URL)
	b.Eval(`Promise.all(["text", "address", "tunnels"].map((name) => import("/page/" + name + ".js"))).then((all) => { window.page = Object.assign({}, ...all); return true })`)
	at := time.Date(2026, 3, 4, 15, 6, 7, 0, time.Local)
	b.Eval(`window.at = ` + at.Format(`Date.parse("2006-01-02T15:04:05Z07:00")`))
	for expression, want := range map[string]string{
		`page.size(0)`:          "0 B",
		`page.size(999)`:        "999 B",
		`page.size(999.6)`:      "1.00 kB",
		`page.size(1000)`:       "1.00 kB",
		`page.size(9996)`:       "10.0 kB",
		`page.size(99960)`:      "100 kB",
		`page.size(999999)`:     "1.00 MB",
		`page.size(1234567890)`: "1.23 GB",
		`page.rate(52500000)`:   "52.5 MB/s",
		`page.count(1234567)`:   "1,234,567",
		`[0, 0.001, 0.5, 0.999, 1].map(page.percent).join(" ")`: "0% 1% 50% 99% 100%",
		`page.duration(999)`:                   "0 s",
		`page.duration(61000)`:                 "1 m 01 s",
		`page.duration(3600000)`:               "1 h 00 m",
		`page.duration(90000000)`:              "1 d 01 h",
		`page.clock(at)`:                       "15:06:07",
		`page.clock(at, at + 864e5)`:           "2026-03-04 15:06:07",
		`page.hostPort("example.com", 443)`:    "example.com:443",
		`page.hostPort("2001:db8::1", 443)`:    "[2001:db8::1]:443",
		`page.hostPort("", 0)`:                 "",
		`page.plain("a\nb\u2066c\u{e0041}")`:   `a\u000ab\u2066c\ue0041`,
		`page.addressKey("192.0.2.1")`:         "00000000000000000000ffffc0000201",
		`page.addressKey("::ffff:192.0.2.1")`:  "00000000000000000000ffffc0000201",
		`page.addressKey("2001:db8::7")`:       "20010db8000000000000000000000007",
		`page.addressKey("::")`:                "00000000000000000000000000000000",
		`page.addressKey("1::2::3")`:           "",
		`page.addressKey("192.0.2.999")`:       "",
		`page.addressKey("1:2:3:4:5:6:7:8:9")`: "",
		`page.addressKey("<b>:1")`:             "",
		`["192.0.2.0/24", "192.0.2.128/25", "192.0.2.7", "2001:db8::/32", "0.0.0.0/0"].map((net) => +page.within(net)(page.addressKey("192.0.2.7"))).join("")`: "10101",
		`["2001:db8:0:1::/64", "2001:db8::/63", "2001:db8::/64", "::/0"].map((net) => +page.within(net)(page.addressKey("2001:db8:0:1::5"))).join("")`:         "1101",
		`String(page.within("example.com")) + page.within("192.0.2.0/129") + page.within("192.0.2.0/x")`:                                                       "nullnullnull",
	} {
		if got := b.Eval(expression); got != want {
			t.Errorf("%s is %q, not %q", expression, got, want)
		}
	}
}

// Every text has the contrast that WCAG 2 asks for at level AA, on every ground
// that it may stand on.
func TestColoursContrastInLightAndDark(t *testing.T) {
	f := newFeed(t, func() object { return starting() })
	b := browser.New(t)
	b.Open(f.URL)
	for _, scheme := range []string{"light", "dark"} {
		b.View(1400, 900, scheme)
		low := b.Eval(`(() => {
			const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
			const light = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
				.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
				.reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
			const pairs = [["warn", "warn-ground"], ["bad", "bad-ground"], ["warn", "panel"]];
			for (const text of ["text", "muted", "down", "bad"])
				for (const ground of ["ground", "panel", "stripe", "hover"]) pairs.push([text, ground]);
			for (const action of ["good", "bad"]) pairs.push([action, "stripe"]);
			return pairs.map(([text, ground]) => {
				const [a, b] = [light(colour(text)), light(colour(ground))];
				return [text, ground, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
			}).filter(([, , ratio]) => !(ratio >= 4.5)).map((c) => c.join(" ")).join(", ");
		})()`)
		if low != "" {
			t.Errorf("%s: %s", scheme, low)
		}
	}
}
