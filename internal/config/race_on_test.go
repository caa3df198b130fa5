//go:build race

package config

// raceDetector tells that memory and time are not those of the program.
const raceDetector = true
