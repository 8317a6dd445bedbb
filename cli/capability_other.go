//go:build !linux

package cli

// Elsewhere there is nothing to raise.
func raiseBinding() error { return nil }
