package report

import (
	"os"
	"path/filepath"
)

// Book is where results are kept: results.json and RESULTS.md in a directory.
type Book struct {
	Dir      string
	Subjects []string // in the order of the table
	Rows     []string // their names, in the order of the table
	Page     func(*Results) string
}

// Keep puts a row with its lines into the files, beside the rows that they have, and
// returns all.
func (b Book) Keep(row Row, lines []*Line) (*Results, error) {
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(b.Dir, "results.json")
	all, err := Load(path)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		row.Lines = append(row.Lines, *l)
	}
	all.Subjects = b.Subjects
	all.Put(row, b.Rows)
	if err := all.Save(path); err != nil {
		return nil, err
	}
	return all, os.WriteFile(filepath.Join(b.Dir, "RESULTS.md"), []byte(b.Page(all)), 0o644)
}
