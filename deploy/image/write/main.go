// Command write writes Sluice's container image from programs that are built:
//
//	go run ./deploy/image/write -o build/sluice.oci.tar amd64=build/sluice-amd64 arm64=build/sluice-arm64
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/sluicegateway/sluice/deploy/image"
)

func main() {
	out := flag.String("o", "build/sluice.oci.tar", "the `file` to write")
	name := flag.String("name", "sluice:dev", "the image's `reference`")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: write [-o FILE] [-name REFERENCE] ARCHITECTURE=PROGRAM…")
		flag.PrintDefaults()
	}
	flag.Parse()
	sluice := image.Image{
		Names: []string{*name}, Program: "/sluice", User: "65532:65532", LowPorts: true,
		Labels: map[string]string{
			"org.opencontainers.image.title":       "Sluice",
			"org.opencontainers.image.description": "The Kubernetes Gateway API with its own data plane in one binary",
			"org.opencontainers.image.licenses":    "Apache-2.0",
		},
	}
	for _, arg := range flag.Args() {
		architecture, file, ok := strings.Cut(arg, "=")
		if !ok {
			fail(fmt.Errorf("%q is not ARCHITECTURE=PROGRAM, like amd64=build/sluice-amd64", arg))
		}
		sluice.Builds = append(sluice.Builds, image.Build{Architecture: architecture, File: file})
	}
	file, err := os.Create(*out)
	if err != nil {
		fail(err)
	}
	if err := cmp.Or(image.Write(file, sluice), file.Close()); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "write:", err)
	os.Exit(1)
}
