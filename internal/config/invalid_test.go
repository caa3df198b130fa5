package config

import (
	"testing"

	"sluice/internal/lab/reference"
	"sluice/internal/presets"
)

// shipped are the presets of the real program.
func shipped() Presets { return Presets{Lookup: presets.Patterns, Names: presets.Names()} }

func TestEachWrongFileGetsItsErrors(t *testing.T) {
	reference.CheckInvalid(t, func(name string, data []byte) (bool, error) {
		c, err := Parse(name, data, Flags{}, shipped())
		return c != nil, err
	})
}
