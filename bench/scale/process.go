package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// size is in bytes.
type size int64

const mebibyte size = 1 << 20

func (s size) String() string { return fmt.Sprintf("%.1f MiB", float64(s)/float64(mebibyte)) }

// anonymous is the memory of this process that no file stands for.
func anonymous() (size, error) { return ofProcess("RssAnon") }

// peak is the most memory that this process ever had, with that of files.
func peak() (size, error) { return ofProcess("VmHWM") }

func ofProcess(field string) (size, error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		value, ok := strings.CutPrefix(lines.Text(), field+":")
		if !ok {
			continue
		}
		var kibibytes size
		_, err := fmt.Sscan(value, &kibibytes)
		return kibibytes << 10, err
	}
	return 0, fmt.Errorf("/proc/self/status has no %s", field)
}

// processor is the time of processors that this process has taken.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it cannot fail for the process itself
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
