//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"sluice/internal/bench/peers"
)

// Whose figures are whose.
const (
	us   = "sluice-mirror"
	them = "docker-registry"
)

// mirrors are what is measured: each a cache of the one upstream, on loopback, over plain
// HTTP, with a log of requests.
func mirrors(binary string) []peers.Peer {
	return []peers.Peer{
		peers.Server(us, "", func(s peers.Setup) ([]string, error) { return sluiceMirror(binary, s) }),
		peers.Server(them, "docker-registry", dockerRegistry),
	}
}

func sluiceMirror(binary string, s peers.Setup) ([]string, error) {
	path, err := s.Write("mirror.toml", fmt.Sprintf(`[[listener]]
address = "127.0.0.1:%d"
tls     = "off"

[[upstream]]
name    = "docker.io"
url     = "http://127.0.0.1:%d"
default = true

[[rule]]
name    = "everybody"
action  = "allow"
clients = ["127.0.0.0/8"]

[cache]
directory = %q

[egress]
allow_private = ["127.0.0.0/8"]

[log]
access = %q

[admin]
address = ""
`, s.Port, s.Origin, filepath.Join(s.Dir, "cache"), filepath.Join(s.Dir, "access.log")))
	return []string{binary, "serve", "--config", path}, err
}

// dockerRegistry writes its log of requests to standard output, which is a file.
func dockerRegistry(s peers.Setup) ([]string, error) {
	storage := filepath.Join(s.Dir, "cache")
	if err := os.Mkdir(storage, 0o755); err != nil && !os.IsExist(err) {
		return nil, err
	}
	path, err := s.Write("registry.yml", fmt.Sprintf(`version: 0.1
log:
  level: error
storage:
  filesystem:
    rootdirectory: %s
http:
  addr: 127.0.0.1:%d
proxy:
  remoteurl: http://127.0.0.1:%d
`, storage, s.Port, s.Origin))
	return []string{"docker-registry", "serve", path}, err
}
