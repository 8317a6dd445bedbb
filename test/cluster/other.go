//go:build !linux

// Command cluster brings up a real Kubernetes to test in; it needs Linux.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "cluster: this needs Linux, whose namespaces the cluster lives in")
	os.Exit(1)
}
