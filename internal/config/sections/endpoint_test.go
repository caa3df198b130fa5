package sections

import "testing"

func TestWhatCannotBeListenedOnTogether(t *testing.T) {
	for _, c := range []struct {
		a, b    string
		clashes bool
	}{
		{":3128", "127.0.0.1:3128", true},
		{":3128", "0.0.0.0:3128", true},
		{"[::]:3128", "127.0.0.1:3128", true},
		{"[::]:3128", "0.0.0.0:3128", true},
		{"0.0.0.0:3128", "127.0.0.1:3128", true},
		{"0.0.0.0:3128", "localhost:3128", true},
		{"0.0.0.0:3128", "[::1]:3128", false},
		{"127.0.0.1:3128", "127.0.0.2:3128", false},
		{"127.0.0.1:3128", "[::ffff:127.0.0.1]:3128", true},
		{"a.example:3128", "b.example:3128", false},
		{":3128", ":3129", false},
		{":0", ":0", false},
	} {
		a, f := parseEndpoint(c.a, 3128)
		b, g := parseEndpoint(c.b, 3128)
		if f != nil || g != nil {
			t.Fatal(f, g)
		}
		if a.clashes(b) != c.clashes || b.clashes(a) != c.clashes {
			t.Errorf("%s and %s: %v and %v", c.a, c.b, a.clashes(b), b.clashes(a))
		}
	}
}
