package file_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/control/source/file"
)

const routeFormat = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: route-%d
spec:
  parentRefs:
  - name: edge
  hostnames:
  - h%d.shop.example
  rules:
  - matches:
    - path:
        type: PathPrefix
        value: /%s
    backendRefs:
    - name: backend
      port: 8080
`

func route(i int, path string) []byte { return fmt.Appendf(nil, routeFormat, i, i, path) }

func writeRoutes(b *testing.B, dir string, count int) {
	b.Helper()
	for i := range count {
		if err := os.WriteFile(routePath(dir, i), route(i, "a"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
}

func routePath(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("%d.yaml", i)) }

// BenchmarkLoad reads and validates 5,000 routes in as many files.
func BenchmarkLoad(b *testing.B) {
	const count = 5000
	dir := b.TempDir()
	writeRoutes(b, dir, count)
	for b.Loop() {
		contents, err := file.Load(b.Context(), file.Options{Paths: []string{dir}})
		if err != nil || len(contents.Changes) < count {
			b.Fatal(err, len(contents.Changes))
		}
	}
}

// BenchmarkChange replaces one of many files that are watched and waits for the
// update. Its cost must follow the change, not the number of files. "known" texts have
// been validated before, so that what is left is the following of files.
func BenchmarkChange(b *testing.B) {
	for _, count := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprintf("files=%d/known", count), func(b *testing.B) {
			benchmarkChange(b, count, false, func(i int) string { return []string{"a", "b"}[i%2] })
		})
	}
	b.Run("files=5000/new", func(b *testing.B) { benchmarkChange(b, 5000, false, newPath) })
	b.Run("files=5000/isolated", func(b *testing.B) { benchmarkChange(b, 5000, true, newPath) })
}

func newPath(i int) string { return fmt.Sprint("new/", i) }

func benchmarkChange(b *testing.B, count int, isolated bool, path func(int) string) {
	dir, next := b.TempDir(), filepath.Join(b.TempDir(), "next.yaml")
	writeRoutes(b, dir, count)
	// The texts that are known stand in other files too, where they are refused.
	for _, path := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, path+".yaml"), route(7, path), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	source, err := file.New(file.Options{Paths: []string{dir}, Isolated: isolated})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	updates, ended := make(chan file.Update), make(chan error)
	go func() { ended <- source.Run(ctx, func(u file.Update) { updates <- u }) }()
	<-updates
	b.ReportAllocs()
	runtime.GC() // what reading them all took
	before := cpuTime(b)
	for i := 1; b.Loop(); i++ {
		if err := os.WriteFile(next, route(7, path(i)), 0o644); err != nil {
			b.Fatal(err)
		}
		if err := os.Rename(next, routePath(dir, 7)); err != nil {
			b.Fatal(err)
		}
		if u := <-updates; len(u.Changes) != 1 {
			b.Fatal(len(u.Changes))
		}
	}
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// cpuTime is what this process has had of the processors. The time on the clock is
// mostly that of waiting for events that may follow.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
