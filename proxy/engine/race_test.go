//go:build race

package engine_test

// underRace: the race detector has pools forget what they hold.
const underRace = true
