//go:build !linux

package cli

// Elsewhere threads have no priority of their own, and the whole process must not yield.
func yieldThread() {}

func yieldProcess() {}
