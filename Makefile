# `make help` lists the targets.

SHELL := /bin/bash
SLUICE := build/sluice

.DEFAULT_GOAL := help
.PHONY: help run build image test lint generate bench bench-versions conformance conformance-standalone protocols kubernetes

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-23s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## serve examples/quickstart with demo backends on 127.0.0.1; Ctrl-C ends both
	@trap 'kill $$(jobs -p) 2>/dev/null; wait' EXIT; \
	$(SLUICE) echo --listen shop-stable=127.0.0.1:9001 --listen shop-canary=127.0.0.1:9002 --listen prices=127.0.0.1:9003 & \
	$(SLUICE) run --summary examples/quickstart & \
	wait $$!

build: ## build build/sluice
	go build -o $(SLUICE) ./cmd/sluice

image: ## build build/sluice-image.tar, an OCI image for amd64 and arm64
	for architecture in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$architecture go build -trimpath -ldflags '-s -w' -o build/sluice-$$architecture ./cmd/sluice || exit; \
	done
	go run ./deploy/image/write -o build/sluice-image.tar amd64=build/sluice-amd64 arm64=build/sluice-arm64

# What the race detector looks at: all that runs on the portable engine and in
# memory. The rest of the tests start the program as a process of its own.
RACE := ./proxy/... ./control/... ./observe/... ./admin/... ./cli/... ./featuretest/...

test: ## every test, the swap test in short; then the race detector
	@.ci/install curl gcc
	go test -short ./...
	cd test/deploy && go test ./...
	go test -short -race $(RACE)

lint: ## gofmt, go vet and staticcheck
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted: $$files" >&2; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	for module in bench test/cluster/kubernetes test/cluster/dns test/conformance test/deploy test/kubernetes test/protocols; do (cd $$module && go vet ./...) || exit; done

generate: ## write what is generated from the API types and from the chart
	go generate ./...
	cd test/deploy && go run . generate

bench: build ## compare with nginx and net/http, about 15 minutes; writes docs/measurements.md
	@.ci/install nginx wrk
	cd bench && go run . -sluice ../$(SLUICE) -out ../docs/measurements.md

bench-versions: build ## compare TLS, HTTP/2, gRPC and HTTP/3 with nginx, HAProxy and Caddy, about 12 minutes; writes docs/measurements-versions.md
	@.ci/install nginx wrk haproxy h2load caddy
	cd bench && go run . -sluice ../$(SLUICE) -only versions,http3 -rounds 9 -duration 2s -out ../docs/measurements-versions.md

conformance: ## the Gateway API's conformance suite in a cluster: that of KUBECONFIG, or one of its own; needs root
	cd test/conformance && go test -c -o ../../build/conformance.test .
	test/kubernetes/run build/conformance.test -test.v -test.run='^TestKubernetes$$' -test.timeout=40m -report=build/conformance-report.yaml -version="$$(git describe --always 2>/dev/null || echo unreleased)"

conformance-standalone: ## the suite without a cluster, on both engines, about 4 minutes; needs root
	cd test/conformance && go vet . && go test -count=1 -v .

protocols: ## h2spec, gRPC's interop tests, attacks and clients that people use, against the program
	cd test/protocols && go test -count=1 .

kubernetes: ## the tests in a cluster
	test/kubernetes/run --bare bash -ec 'build/kubernetes.test -test.v -test.run=Pages; test/kubernetes/install; build/kubernetes.test -test.parallel=8 -test.v'
