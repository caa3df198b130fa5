//go:build linux

package evasion

import "strings"

// verdict is what becomes of a request under the rules of openRules.
type verdict string

const (
	passes    verdict = "ok"
	denied    verdict = "rule_denied"
	notPublic verdict = "address_not_public"
	malformed verdict = "malformed"
)

// openRules let everything pass but two names and two ranges.
const openRules = `
[[listener]]
address = "127.0.0.1:0"
[[rule]]
name = "no-names"
action = "deny"
to = [".denied.test", "bücher.test", "straße.test"]
ports = ["1-65535"]
[[rule]]
name = "no-ranges"
action = "deny"
to = ["198.41.0.0/24", "2001:500:2::/48"]
ports = ["1-65535"]
[[rule]]
name = "all"
action = "allow"
clients = ["127.0.0.0/8"]
ports = ["1-65535"]
[limits]
new_tunnels = "100000/s"
[egress]
allow_private = []
`

// spelling is a set of spellings of one host, as they stand in front of the port
// in an authority.
type spelling struct {
	means   string // the host in its one spelling; "" when it is malformed
	verdict verdict
	texts   []string
}

// spellings of hosts. Names resolve to a public address.
var spellings = []spelling{
	{"denied.test", denied, []string{
		"denied.test", "DENIED.TEST", "Denied.Test", "dEnIeD.tEsT",
		"denied.test.", "DENIED.TEST.",
		"denied\u3002test", "denied\uff0etest", "denied\uff61test", "denied.test\u3002", "denied\uff0etest\uff0e", "DENIED\uff61TEST\uff61",
		"\uff44\uff45\uff4e\uff49\uff45\uff44.test", "\uff24\uff25\uff2e\uff29\uff25\uff24.test", "denie\uff44.test", "denied.\uff54est",
		"\uff44enied\u3002tes\uff54.", "\u24d3\u24d4\u24dd\u24d8\u24d4\u24d3.test", "\u24b9\u24ba\u24c3\u24be\u24ba\u24b9.test",
		"\U0001d41d\U0001d41e\U0001d427\U0001d422\U0001d41e\U0001d41d.test", "\U0001d4d3enied.test", "\u2145enied.test", "\u2146enied.test",
		"den\u2170ed.test", "den\u2148ed.test", "\u1d48enied.test", "\u1d30enied.test", "d\u212fnied.test", "de\u207fied.test",
		"denied.te\u017ft", "denied.\u1d57est", "\u217eenied.test",
		"de\u00adnied.test", "denied\u00ad.test", "denied.te\u00adst", "\u00addenied.test",
		"de\ufe0fnied.test", "denied.test\ufe00", "de\u2060nied.test", "de\ufeffnied.test", "de\u034fnied.test", "de\u200bnied.test", "de\u2064nied.test",
	}},
	{"www.denied.test", denied, []string{
		"www.denied.test", "WWW.DENIED.TEST", "www.denied.test.", "www\u3002denied\u3002test", "\uff57\uff57\uff57.denied.test", "\u24e6ww.denied.test",
	}},
	{"a.b.denied.test", denied, []string{"a.b.denied.test", "A.b.Denied.test.", "\u00aa.b.denied.test", "a\uff0eb\uff61denied\u3002test"}},
	{"_x.denied.test", denied, []string{"_x.denied.test", "_X.denied.test."}},
	{"169.254.denied.test", denied, []string{"169.254.denied.test"}},
	{"xn--bcher-kva.test", denied, []string{
		"xn--bcher-kva.test", "XN--BCHER-KVA.TEST", "Xn--Bcher-Kva.Test.", "b\u00fccher.test", "B\u00dcCHER.TEST", "bu\u0308cher.test", "BU\u0308CHER.test.",
		"b\u00fccher\u3002test", "\uff42\u00fccher.test", "xn--bcher-kva\uff0etest", "XN--BCHER-KVA\uff61TEST", "xn--bcher-kva.\uff54est", "b\u00fc\u00adcher.test",
		"\uff58n--bcher-kva.test", "xn-\uff0dbcher-kva.test", "x\u00adn--bcher-kva.test",
	}},
	{"xn--strae-oqa.test", denied, []string{
		"stra\u00dfe.test", "STRA\u00dfE.test", "xn--strae-oqa.test", "XN--STRAE-OQA.test", "stra\u00dfe\u3002test.", "xn--strae-oqa.t\uff45st",
	}},
	{"strasse.test", passes, []string{"strasse.test", "STRASSE.test", "stra\u017f\u017fe.test", "stra\u1e9ee.test"}}, // another name since IDNA 2008
	{"denied.test.example", passes, []string{"denied.test.example", "DENIED.test.Example."}},
	{"xdenied.test", passes, []string{"xdenied.test", "Xdenied.test"}},
	{"1e3", passes, []string{"1e3", "1E3."}},
	{"169.254.169.xn--254-qt0a", passes, []string{"169.254.169.254\u2044"}}, // a fraction slash, which no URI knows
	{"xn--b--b-zra.test", passes, []string{"\u00fcb--b.test"}},
	{"0xg.test", passes, []string{"0xg.test", "0XG.test"}},
	{"0x7f.test", passes, []string{"0x7f.test"}},
	{"127.0.0.1.test", passes, []string{"127.0.0.1.test", "127.0.0.1.TEST."}},

	{"169.254.169.254", notPublic, []string{
		"169.254.169.254", "169.254.169.254.", "2852039166", "2852039166.", "0xa9fea9fe", "0XA9FEA9FE", "0xA9fEa9Fe", "025177524776", "0000025177524776",
		"169.16689662", "169.254.43518", "0xa9.16689662", "0251.16689662", "0xa9.0xfea9fe", "0251.077524776", "169.254.0xa9fe", "169.0376.0124776",
		"0xa9.0xfe.0xa9.0xfe", "0XA9.0XFE.0XA9.0XFE", "0251.0376.0251.0376", "00251.000376.0000251.0000000000376", "0xa9.254.0251.254", "169.0xfe.169.0376",
		"0x000000a9.0x00fe.0x0a9.0xfe", "169.254.169.0xfe", "169.254.169.0376.",
		"\uff11\uff16\uff19.\uff12\uff15\uff14.\uff11\uff16\uff19.\uff12\uff15\uff14", "169\u3002254\u3002169\u3002254", "169\uff0e254\uff0e169\uff0e254", "169\uff61254\uff61169\uff61254",
		"\u2460\u2465\u2468.254.169.254", "\u00b9\u2076\u2079.\u00b2\u2075\u2074.\u00b9\u2076\u2079.\u00b2\u2075\u2074", "\u2081\u2086\u2089.254.169.254",
		"\U0001d7cf\U0001d7d4\U0001d7d7.254.169.254", "\U0001d7d9\U0001d7de\U0001d7e1.254.169.254", "16\u2468.254.169.254",
		"169.254.169.254\u3002", "169.254.169.254\uff0e", "1\u00ad69.254.169.254", "169.254.169.25\u00ad4", "169.254.169.254\ufe0f", "169.\u200b254.169.254",
		"\uff10xa9fea9fe", "0\uff58a9fea9fe", "0x\uff41\uff19fea9fe", "\uff12852039166", "\uff10251.0376.0251.0376",
		"[::ffff:169.254.169.254]", "[::FFFF:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[::FFFF:A9FE:A9FE]", "[0:0:0:0:0:ffff:a9fe:a9fe]",
		"[0000:0000:0000:0000:0000:ffff:a9fe:a9fe]", "[0:0::ffff:169.254.169.254]", "[0:0:0:0:0:FFFF:169.254.169.254]", "[::0:ffff:a9fe:a9fe]",
	}},
	{"64:ff9b::a9fe:a9fe", notPublic, []string{
		"[64:ff9b::169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[64:FF9B::A9FE:A9FE]", "[0064:ff9b:0:0:0:0:a9fe:a9fe]", "[64:ff9b:0:0:0:0:169.254.169.254]",
	}},
	{"64:ff9b:1::a9fe:a9fe", notPublic, []string{"[64:ff9b:1::169.254.169.254]", "[64:ff9b:1:0:0:0:a9fe:a9fe]", "[64:FF9B:1::A9FE:A9FE]"}},
	{"64:ff9b:1:a9fe:a9:fe00::", notPublic, []string{"[64:ff9b:1:a9fe:a9:fe00::]", "[64:ff9b:1:a9fe:00a9:fe00:0:0]"}},
	{"64:ff9b:1::8.8.8.8", notPublic, []string{"[64:ff9b:1::8.8.8.8]", "[64:ff9b:1::808:808]"}},
	{"2002:a9fe:a9fe::1", notPublic, []string{"[2002:a9fe:a9fe::1]", "[2002:A9FE:A9FE:0::1]"}},
	{"2002:808:808::1", notPublic, []string{"[2002:808:808::1]", "[2002:0808:0808::1]"}},
	{"2001:0:808:808::5601:5601", notPublic, []string{"[2001:0:808:808::5601:5601]", "[2001:0000:0808:0808:0:0:5601:5601]", "[2001::808:808:0:0:5601:5601]"}},
	{"::a9fe:a9fe", notPublic, []string{"[::169.254.169.254]", "[::a9fe:a9fe]", "[0:0:0:0:0:0:169.254.169.254]"}},
	{"::ffff:0:a9fe:a9fe", notPublic, []string{"[::ffff:0:169.254.169.254]", "[::ffff:0:a9fe:a9fe]"}},

	{"127.0.0.1", notPublic, []string{
		"127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0X7F.0.1", "0177.1", "0177.0.0.01", "017700000001", "127.0.0.1.", "127.000.000.001",
		"\uff11\uff12\uff17.0.0.1", "127\u30020\uff0e0\uff611", "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460", "127.\u00ad1",
		"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]", "0x7f.0x0.0x0.0x1", "0x7f.0x.0x.1",
	}},
	{"127.0.255.255", notPublic, []string{"127.65535", "127.0.65535", "127.0xffff", "0x7f.0177777"}},
	{"87.0.0.1", passes, []string{"0127.0.0.1", "0127.1"}}, // octal
	{"0.0.0.0", notPublic, []string{"0", "00", "0.", "0x", "0x0", "0X", "0.0", "0.0.0", "0.0.0.0", "0x.0x.0x.0x", "000000000000", "\uff10", "\u24ea", "[::ffff:0.0.0.0]", "[::ffff:0:0]"}},
	{"255.255.255.255", notPublic, []string{"255.255.255.255", "4294967295", "0xffffffff", "037777777777", "255.16777215"}},
	{"::", notPublic, []string{"[::]", "[0::0]", "[0:0:0:0:0:0:0:0]", "[::0.0.0.0]", "[0000::]"}},
	{"::1", notPublic, []string{"[::1]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[0::1]", "[::0.0.0.1]"}},
	{"10.0.0.1", notPublic, []string{"10.0.0.1", "10.1", "012.1", "0xa.1", "167772161", "[::ffff:a00:1]"}},
	{"192.168.0.1", notPublic, []string{"192.168.0.1", "192.168.1", "0300.0250.1", "3232235521", "0xc0a80001"}},
	{"172.31.255.255", notPublic, []string{"172.31.255.255", "0xac1fffff", "172.2097151"}},
	{"100.100.100.200", notPublic, []string{"100.100.100.200", "0x646464c8"}},                                     // Alibaba Cloud's metadata
	{"192.0.0.192", notPublic, []string{"192.0.0.192", "192.192"}},                                                // Oracle Cloud's
	{"168.63.129.16", notPublic, []string{"168.63.129.16", "0xa83f8110", "2822734096", "[::ffff:168.63.129.16]"}}, // Azure's
	{"64:ff9b::a83f:8110", notPublic, []string{"[64:ff9b::168.63.129.16]"}},
	{"fd00:ec2::254", notPublic, []string{"[fd00:ec2::254]", "[FD00:0EC2:0:0:0:0:0:0254]"}},
	{"fe80::1", notPublic, []string{"[fe80::1]", "[fe80:0::1]"}},
	{"fec0::1", notPublic, []string{"[fec0::1]"}},
	{"ff02::1", notPublic, []string{"[ff02::1]", "[FF02:0::0:1]"}},
	{"224.0.0.1", notPublic, []string{"224.0.0.1", "0xe0000001"}},
	{"3fff::1", notPublic, []string{"[3fff::1]"}},
	{"5f00::1", notPublic, []string{"[5f00::1]"}},

	{"198.41.0.4", denied, []string{
		"198.41.0.4", "198.41.4", "198.2686980", "3324575748", "0xc6290004", "0306.051.0.04", "0xc6.0x29.4", "198.41.0.4.", "\uff11\uff19\uff18.41.0.4", "198\u300241\u30020\u30024",
		"[::ffff:198.41.0.4]", "[::ffff:c629:4]",
	}},
	{"64:ff9b::c629:4", denied, []string{"[64:ff9b::198.41.0.4]", "[64:ff9b::c629:4]"}},
	{"64:ff9b:1::c629:4", denied, []string{"[64:ff9b:1::198.41.0.4]"}},
	{"2002:c629:4::1", denied, []string{"[2002:c629:4::1]", "[2002:C629:0004::1]"}},
	{"2001:0:808:808::39d6:fffb", denied, []string{"[2001:0:808:808::39d6:fffb]"}},
	{"::c629:4", denied, []string{"[::198.41.0.4]"}},
	{"2001:500:2::c", denied, []string{"[2001:500:2::c]", "[2001:0500:0002:0:0:0:0:000C]", "[2001:500:2:0::C]", "[2001:500:2::0.0.0.12]"}},

	{"8.8.8.8", passes, []string{
		"8.8.8.8", "8.8.8.8.", "8.526344", "8.8.2056", "134744072", "0x08080808", "010.010.010.010", "0x8.010.8.8", "\uff18.8.8.8", "8\u30028\u30028\u30028", "\u2467.8.8.8",
		"[::ffff:8.8.8.8]", "[::ffff:808:808]", "[::FFFF:0808:0808]",
	}},
	{"64:ff9b::808:808", passes, []string{"[64:ff9b::8.8.8.8]", "[64:ff9b::808:808]"}},
	{"2606:4700:4700::1111", passes, []string{
		"[2606:4700:4700::1111]", "[2606:4700:4700:0:0:0:0:1111]", "[2606:4700:4700:0000:0000:0000:0000:1111]", "[2606:4700:4700::0.0.17.17]",
	}},
	{"allowed.test", passes, []string{
		"allowed.test", "ALLOWED.TEST", "Allowed.Test.", "allowed\u3002test", "\uff41llowed.test", "al\u00adlowed.test", "\uff21\uff2c\uff2c\uff2f\uff37\uff25\uff24\uff0e\uff34\uff25\uff33\uff34",
	}},
	{strings.Repeat("a", 63) + ".test", passes, []string{strings.Repeat("a", 63) + ".test", strings.Repeat("A", 63) + ".test."}},
	{strings.Repeat("a.", 124) + "test", passes, []string{strings.Repeat("a.", 124) + "test", strings.Repeat("a.", 124) + "test."}},

	{"", malformed, []string{
		// Empty labels and lengths.
		"", ".", "..", "...", ".denied.test", "denied..test", "denied.test..", "..denied.test", "denied\u3002\u3002test", "denied.test.\u3002", "\u3002", "\u3002denied.test", "\u00ad", "a.\u00ad.test",
		strings.Repeat("a", 64) + ".test", strings.Repeat("a.", 125) + "test", strings.Repeat("a.", 126) + "test", strings.Repeat("\u00fc", 60) + ".test", strings.Repeat("a", 300),
		// Percent-encoding.
		"denied%2etest", "%64enied.test", "denied.test%00", "denied%00.test", "%31%36%39.254.169.254", "169%2e254%2e169%2e254", "%", "denied.test%", "denied.test%0d%0a", "denied%E3%80%82test",
		"[%3a%3a1]", "%5b::1%5d", "denied.test%20", "denied.test%2f", "denied.test%40allowed.test", "127.0.0.1%2f8",
		// Brackets.
		"[]", "[", "]", "[::1", "::1]", "[[::1]]", "[::1]]", "[[::1]", "[denied.test]", "[169.254.169.254]", "[127.1]", "[2852039166]", "[v1.denied]", "[::1].", "[::1]x", "x[::1]", "[::1][::1]", "[:]", "[:::]", "[::1::]", "[1:2:3:4:5:6:7]",
		"[1:2:3:4:5:6:7:8:9]", "[12345::]", "[::g]", "[::1.2.3]", "[::256.1.1.1]", "[::0x7f.0.0.1]", "[::ffff:0177.0.0.1]", "[::ffff:127.1]", "[::ffff:2130706433]", "[ ::1]", "[::1 ]", "[::1\x00]", "[\uff1a:1]", "[::\uff11]", "[::1]\u3002", "(denied.test)",
		// Zones.
		"[::1%lo]", "[::1%25lo]", "[fe80::1%eth0]", "[fe80::1%25eth0]", "[::ffff:169.254.169.254%25lo]", "[::%25]", "[::1%]", "[::1%251]", "169.254.169.254%lo", "127.0.0.1%25lo", "[2606:4700:4700::1111%25eth0]",
		// IPv4 that is none.
		"256.0.0.1", "169.254.169.256", "169.254.65536", "169.16777216", "4294967296", "0x100000000", "040000000000", "99999999999999999999", "18446744071562067969", "1.2.3.4.5", "0.0.0.0.0", "127.0.0.1.1", "08.8.8.8", "169.254.169.09", "0xg.1", "0x7g.0.0.1",
		"0x7f.1.0xg0.1", "127..1", "127.0.0..1", ".127.0.0.1", "127.0.0.1..", "+127.0.0.1", "127.0.0.1+0", "denied.1", "denied.0x1", "denied.test.0", "a.0x", "1_0.0.0.1", "0b1.1", "0o17.1", "0x7f,1",
		"\u0661\u0666\u0669.254.169.254", "\u06f1\u06f6\u06f9.254.169.254", "\u0967.254.169.254", "\u00bc.1",
		// Userinfo, a second port, other parts of a URI.
		"user@denied.test", "user:pw@denied.test", "allowed.test@denied.test", "allowed.test:80@denied.test", "@denied.test", ":@denied.test", "user@", "denied.test@", "allowed.test\\@denied.test", "denied.test:80", "denied.test:", "::1", "169.254.169.254:80", "[::1]:80",
		"denied.test/", "denied.test/x", "/denied.test", "//denied.test", "denied.test?", "denied.test#", "denied.test\\", "\\denied.test", "http://denied.test", "allowed.test#@denied.test", "allowed.test?@denied.test", "allowed.test/@denied.test", "allowed.test;denied.test", "allowed.test,denied.test",
		// NUL, control characters and spaces.
		"denied.test\x00", "\x00denied.test", "denied\x00.test", "denied.test\x00.allowed.test", "allowed.test\x00denied.test", "denied.test\r", "denied.test\n", "denied.test\r\n", "\r\ndenied.test", "denied.test\r\nX: y", "denied.test\t", "\tdenied.test", "denied\ttest", " denied.test", "denied.test ", "denied .test",
		" 169.254.169.254", "169.254.169.254 ", "169.254.169.254\t", "169.254.169.254 x", "127.0.0.1\x00", "127.0.0.1\n", "\x7fdenied.test", "denied\x1b.test", "denied.test\x0b", "denied\u00a0.test", "denied.test\u3000", "\u2003denied.test", "denied\u2028.test", "denied\u0085.test", "denied.test\x80",
		// No IDNA, and bytes that are no text.
		"denied\xff.test", "\xc0\xaedenied.test", "denied\xc0\xaetest", "denied\xe0\x80\xaetest", "\xed\xa0\x80.test", "fa\xdf.test", "\ufffd.test", "denied\u202e.test", "\u202edenied.test", "denied\u2024test", "denied\u2025test", "169\u2024254\u2024169\u2024254", "\u2488254.169.254",
		"de\u200dnied.test", "de\u200cnied.test", "denied\u200d.test", "\u0301denied.test", "\u2100.test", "a\u2048b.test", "denied\uff1a80", "denied\uff0fx.test", "denied\uff20x.test", "denied\uff05x.test", "xn--\u00fc.test", "xn--a.\u00fc.test", "\u24d3\u24d4\u24dd\u249f.test",
		"\u05d0a.test", "a\u05d0.test", "-\u00fc.test", "\u00fc-.test",
		// Wildcards and the like.
		"*", "*.denied.test", ".test*", "denied.*", "@docker-hub", "denied!.test", "denied$.test", "denied'.test", "denied\".test", "<denied.test>", "{denied}.test", "denied|.test", "denied^.test", "denied`.test", "denied~.test", "denied&.test", "denied=.test", "denied+.test",
	}},
}
