package file_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluicegateway/sluice/control/source/file"
)

const manyRoutes = 5000

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

func writeRoutes(b *testing.B, dir string) {
	b.Helper()
	for i := range manyRoutes {
		if err := os.WriteFile(routePath(dir, i), fmt.Appendf(nil, routeFormat, i, i, "a"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
}

func routePath(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("%d.yaml", i)) }

// BenchmarkLoad reads and validates 5,000 routes in as many files.
func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	writeRoutes(b, dir)
	for b.Loop() {
		contents, err := file.Load(b.Context(), file.Options{Paths: []string{dir}})
		if err != nil || len(contents.Changes) < manyRoutes {
			b.Fatal(err, len(contents.Changes))
		}
	}
}

// BenchmarkChange is the time from a file's atomic replacement to the update, with
// 5,000 of them watched.
func BenchmarkChange(b *testing.B) {
	for _, isolated := range []bool{false, true} {
		b.Run(fmt.Sprintf("isolated=%v", isolated), func(b *testing.B) { benchmarkChange(b, isolated) })
	}
}

func benchmarkChange(b *testing.B, isolated bool) {
	dir, next := b.TempDir(), filepath.Join(b.TempDir(), "next.yaml")
	writeRoutes(b, dir)
	source, err := file.New(file.Options{Paths: []string{dir}, Isolated: isolated})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	updates, ended := make(chan file.Update), make(chan error)
	go func() { ended <- source.Run(ctx, func(u file.Update) { updates <- u }) }()
	<-updates
	for i := 0; b.Loop(); i++ {
		if err := os.WriteFile(next, fmt.Appendf(nil, routeFormat, 7, 7, fmt.Sprint(i)), 0o644); err != nil {
			b.Fatal(err)
		}
		if err := os.Rename(next, routePath(dir, 7)); err != nil {
			b.Fatal(err)
		}
		if u := <-updates; len(u.Changes) != 1 {
			b.Fatal(len(u.Changes))
		}
	}
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
