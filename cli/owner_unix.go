//go:build unix

package cli

import (
	"io/fs"
	"syscall"
)

// owner is the user whose file it is.
func owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
