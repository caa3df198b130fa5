package settings

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestWhatIsInForceIsShownAsTheFileSaysIt(t *testing.T) {
	c, err := Parse("mirror.toml", []byte(`
[[upstream]]
name = "docker.io"
proxy = "http://alice:hunter2@192.0.2.1:3128"
tag_ttl = "0s"
[[upstream]]
name = "ghcr.io"
[[rule]]
name = "all"
action = "allow"
clients = ["192.0.2.0/24"]
private = ["ghcr.io/acme/*"]
[transparent]
address = "127.0.0.1:3129"
[[transparent.rule]]
name = "tokens"
action = "allow"
clients = ["192.0.2.0/24"]
to = ["auth.docker.io"]
download = "1MB/s"
`), Flags{})
	if err != nil {
		t.Fatal(err)
	}
	text := string(c.AppendJSON(nil))
	if strings.Contains(text, "hunter2") {
		t.Errorf("a password is shown: %s", text)
	}
	var shown map[string]any
	if err := json.Unmarshal([]byte(text), &shown); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, want := range []string{
		`"proxy":"***","tag_ttl":"0s"`, `"name":"ghcr.io"`, `"private":["ghcr.io/acme/*"]`, `"max_size":"20GB"`,
		`"transparent":{"address":"127.0.0.1:3129","rule":[{"name":"tokens"`, `"ports":[80,443],"download":"1MB/s"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
}
