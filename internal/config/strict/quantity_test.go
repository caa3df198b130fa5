package strict

import (
	"math/big"
	"regexp"
	"testing"
)

func TestSizes(t *testing.T) {
	tests := []struct {
		text string
		want int64 // 0: refused
	}{
		{"1B", 1}, {"1kB", 1000}, {"1MB", 1e6}, {"1GB", 1e9},
		{"1KiB", 1024}, {"1MiB", 1 << 20}, {"1GiB", 1 << 30},
		{"1.5MB", 1500000}, {"0.5KiB", 512}, {"1.1MiB", 1153433}, {"2.000000001GB", 2000000001},
		{"64 KiB", 65536}, {"007MB", 7e6},
		{"9223372035GB", 9223372035e9},
		{"", 0}, {"MB", 0}, {"1", 0}, {"1M", 0}, {"1mb", 0}, {"1KB", 0}, {"1 TB", 0}, {"1  MB", 0}, {" 1MB", 0}, {"1MB ", 0}, {"1\tMB", 0},
		{"0B", 0}, {"0.0MB", 0}, {"0.1B", 0}, {"-1MB", 0}, {"+1MB", 0}, {"1e3MB", 0}, {"1_000MB", 0}, {"0x10MB", 0},
		{"NaN", 0}, {"InfMB", 0}, {"1.MB", 0}, {".5MB", 0}, {"1.2.3MB", 0}, {"1,5MB", 0}, {"٣MB", 0},
		{"9223372036GB", 0}, {"9223372036854775807B", 0}, {"99999999999999999999GB", 0}, {"1.0000000001GB", 0},
	}
	for _, test := range tests {
		got, err := ParseSize(test.text)
		if got != test.want || (err == nil) != (test.want > 0) {
			t.Errorf("%q: got %d, %v; want %d", test.text, got, err, test.want)
		}
	}
}

func TestRates(t *testing.T) {
	tests := []struct {
		text, back string
		want       Rate // Unset: refused
	}{
		{"50MB/s", "50MB/s", 50e6}, {"1.5MB/s", "1500kB/s", 1.5e6}, {"1024 kB/s", "1000KiB/s", 1024000}, {"512 MB/s", "512MB/s", 512e6},
		{"1024KiB/s", "1MiB/s", 1 << 20}, {"1B/s", "1B/s", 1}, {"unlimited", "unlimited", Unlimited},
		{"Unlimited", "", Unset}, {"50MB", "", Unset}, {"50MB/m", "", Unset}, {"/s", "", Unset}, {"50 MB / s", "", Unset}, {"0B/s", "", Unset}, {"50Mb/s", "", Unset},
	}
	for _, test := range tests {
		got, err := ParseRate(test.text)
		if got != test.want || (err == nil) != (test.want != Unset) {
			t.Errorf("%q: got %d, %v; want %d", test.text, int64(got), err, int64(test.want))
		}
		if err == nil && got.String() != test.back {
			t.Errorf("%q is spelled %q, want %q", test.text, got, test.back)
		}
	}
	if s := Unset.String(); s != "unset" {
		t.Errorf("Unset is spelled %q", s)
	}
}

func TestARateInOtherUnitsIsPutRight(t *testing.T) {
	for text, want := range map[string]string{
		"50MB":     `"50MB" is a size, not a rate; write "50MB/s"`,
		"50MBps":   `"50MBps" is not a rate; write "50MB/s"`,
		"50M/s":    `"50M/s" is not a rate; write "50MB/s"`,
		"50MB/sec": `"50MB/sec" is not a rate; write "50MB/s"`,
		"50Kib/s":  `"50Kib/s" is not a rate; rates are in bytes: 8 megabits per second are "1MB/s"`,
		"50Mbps":   `"50Mbps" is not a rate; rates are in bytes: 8 megabits per second are "1MB/s"`,
		"fast":     `"fast" is not a rate; write a size for each second, such as "50MB/s", or "unlimited"`,
	} {
		if _, err := ParseRate(text); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestFrequencies(t *testing.T) {
	for text, want := range map[string]Frequency{
		"200/s": 200, "30/m": 0.5, "1/m": 1.0 / 60, "0/s": 0,
		"200": -1, "200/h": -1, "/s": -1, "-1/s": -1, "+1/s": -1, "1.5/s": -1, "1e3/s": -1, "99999999999/s": -1, "1 /s": -1,
	} {
		got, err := ParseFrequency(text)
		if want < 0 != (err != nil) || err == nil && got != want {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"50MB/s", "1.5 KiB/s", "unlimited", "0B/s", "9223372036GB/s", "1.000000001GB/s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRate(s)
		if err != nil {
			if r != Unset {
				t.Fatalf("%q: %d beside an error", s, int64(r))
			}
			return
		}
		if r <= 0 {
			t.Fatalf("%q is %d", s, int64(r))
		}
		if back, err := ParseRate(r.String()); err != nil || back != r {
			t.Fatalf("%q is spelled %q, which is %d, %v", s, r, int64(back), err)
		}
	})
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"50MB", "1.5 KiB", "0B", "9223372036GB", "1.000000001GB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSize(s)
		if (err == nil) != (n > 0) {
			t.Fatalf("%q is %d, %v", s, n, err)
		}
		if err != nil {
			return
		}
		if back, err := ParseSize(Size(n).String()); err != nil || back != n {
			t.Fatalf("%q is spelled %q, which is %d, %v", s, Size(n), back, err)
		}
	})
}

var frequencyText = regexp.MustCompile(`^([0-9]+)/([sm])$`)

// A frequency is a whole number for each second or minute and nothing else.
func FuzzFrequency(f *testing.F) {
	for _, s := range []string{"200/s", "30/m", "0/s", "4294967295/s", "4294967296/s", "007/m", "1/h", "1.5/s", "-1/s", "+1/s", "1e3/s", "/s", "1 /s", "\u0661/s", "1_0/s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseFrequency(s)
		m := frequencyText.FindStringSubmatch(s)
		if m == nil {
			if err == nil {
				t.Fatalf("%q is taken for %v", s, got)
			}
			return
		}
		n, _ := new(big.Int).SetString(m[1], 10)
		if fits := n.BitLen() <= 32; fits != (err == nil) {
			t.Fatalf("%q: %v, %v", s, got, err)
		} else if !fits {
			return
		}
		want := Frequency(n.Int64())
		if m[2] == "m" {
			want /= 60
		}
		if got != want {
			t.Fatalf("%q is taken for %v", s, got)
		}
	})
}
