package setup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// record is what undoing needs to know of what was done for a client.
type record struct {
	Client string         `json:"client"`
	Place  string         `json:"place"`
	Proxy  string         `json:"proxy"` // without a password
	Files  []recordedFile `json:"files"`
}

type recordedFile struct {
	Path        string   `json:"path"`                  // as it is shown
	Target      string   `json:"target"`                // with links followed
	Backup      string   `json:"backup,omitempty"`      // empty: there was no file
	Directories []string `json:"directories,omitempty"` // that were made for it, outermost first
	Before      string   `json:"before,omitempty"`      // SHA-256 of what the backup holds
	Wrote       string   `json:"wrote"`                 // SHA-256 of what was written last
	// Edited says that somebody else had changed the file before it was written for
	// the last time, so that the backup lacks that change.
	Edited bool `json:"edited,omitempty"`
}

func sum(text []byte) string {
	h := sha256.Sum256(text)
	return hex.EncodeToString(h[:])
}

func recordPath(dir, client string) string { return filepath.Join(dir, client+".json") }

// readRecord returns nil where nothing is recorded.
func readRecord(dir, client string) (*record, error) {
	path := recordPath(dir, client)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, advise(err)
	}
	r := new(record)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("%s cannot be read (%w): put the files back by hand from their copies, PATH%s, and take it away", path, err, backupSuffix(client))
	}
	return r, nil
}

func (r *record) write(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return replace(recordPath(dir, r.Client), append(text, '\n'), 0o644, nil) // there is no secret in it
}

func (r *record) file(target string) *recordedFile {
	if r == nil {
		return nil
	}
	for i := range r.Files {
		if r.Files[i].Target == target {
			return &r.Files[i]
		}
	}
	return nil
}

// backupSuffix ends the name of a file's copy. The client is in it, for two clients
// may have the same file.
func backupSuffix(client string) string { return ".sluice-backup-" + client }
