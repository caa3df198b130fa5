package strict

import "testing"

func TestTheNearestWordIsTheOneMeant(t *testing.T) {
	known := []string{"name", "action", "clients", "users", "to", "ports", "download", "upload", "allow_private"}
	for word, want := range map[string]string{
		"clientz": "clients", "client": "clients", "Clients": "clients", "cleints": "clients", "nmae": "name",
		"port": "ports", "tos": "to", "dwonlaod": "download", "allow-private": "allow_private", "allow": "allow_private",
		"": "", "colour": "", "x": "", "destinations": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}
