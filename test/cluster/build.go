//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/sluicegateway/sluice/deploy/image"
)

// kubernetesVersion is what the programs say that they are; it is the version
// of k8s.io/kubernetes in kubernetes/go.mod.
var kubernetesVersion = regexp.MustCompile(`k8s\.io/kubernetes v((\d+)\.(\d+)\.\d+)`)

const conformance = "sigs.k8s.io/gateway-api/conformance"

// newPlan builds the programs and images, and plans the first node.
func newPlan(ctx context.Context, r request, s state) (plan, error) {
	root, err := goCommand(ctx, ".", "list", "-m", "-f", "{{.Dir}}", "github.com/sluicegateway/sluice")
	if err != nil {
		return plan{}, err
	}
	module := filepath.Join(root, "test/cluster/kubernetes")
	programs, err := kept(ctx, module)
	if err != nil {
		return plan{}, err
	}
	p := plan{Name: r.name, Nodes: r.nodes, Node: 1, Kubernetes: filepath.Join(programs, "kubernetes"), CNI: plugins(), Cgroup: s.Cgroups.Version}
	if p.Images, err = images(ctx, root, module, programs, r, s.Temp); err != nil {
		return plan{}, err
	}
	if r.crds {
		p.Manifests, err = definitions(ctx, root)
	}
	return p, err
}

// goCommand runs the go command in a folder and returns what it prints.
func goCommand(ctx context.Context, folder string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = folder
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	output, err := command.Output()
	if exited := (*exec.ExitError)(nil); errors.As(err, &exited) {
		err = fmt.Errorf("%w\n%s", err, exited.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("go %s in %s: %w", strings.Join(args, " "), folder, err)
	}
	return strings.TrimSpace(string(output)), nil
}

// kept is the folder of the programs kubernetes, echo-basic and coredns, built once
// for what they are built from and kept in the user's cache folder.
func kept(ctx context.Context, module string) (string, error) {
	dns := filepath.Join(filepath.Dir(module), "dns")
	key, version, err := fingerprint(module, dns)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "sluice-test-cluster", key)
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	fmt.Fprintf(os.Stderr, "cluster: building Kubernetes v%s for the first time, which takes minutes\n", version[1])
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return "", err
	}
	// What is built takes its place at once, so that a folder is whole or absent.
	building, err := os.MkdirTemp(filepath.Dir(folder), "building-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(building)
	const variable = " -X k8s.io/component-base/version."
	flags := "-s -w" + variable + "gitVersion=v" + version[1] + variable + "gitMajor=" + version[2] + variable + "gitMinor=" + version[3]
	if _, err := goCommand(ctx, module, "build", "-ldflags", flags, "-o", building+"/kubernetes", "."); err != nil {
		return "", err
	}
	if _, err := goCommand(ctx, module, "build", "-o", building+"/echo-basic", conformance+"/echo-basic"); err != nil {
		return "", err
	}
	if _, err := goCommand(ctx, dns, "build", "-ldflags", "-s -w", "-o", building+"/coredns", "."); err != nil {
		return "", err
	}
	if err := os.Rename(building, folder); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return folder, nil
}

// fingerprint is a name for what the modules' programs are built from, and
// kubernetesVersion's parts.
func fingerprint(modules ...string) (key string, version []string, err error) {
	var files []string
	for _, module := range modules {
		sources, err := filepath.Glob(filepath.Join(module, "*.go"))
		if err != nil {
			return "", nil, err
		}
		files = append(files, filepath.Join(module, "go.mod"), filepath.Join(module, "go.sum"))
		files = append(files, sources...)
	}
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version(), runtime.GOARCH)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", nil, err
		}
		if found := kubernetesVersion.FindStringSubmatch(string(content)); filepath.Base(file) == "go.mod" && found != nil {
			version = found
		}
		fmt.Fprintf(hash, "%s %d\n%s", filepath.Base(file), len(content), content)
	}
	if version == nil {
		return "", nil, fmt.Errorf("%s/go.mod requires no k8s.io/kubernetes", modules[0])
	}
	return version[1] + "-" + hex.EncodeToString(hash.Sum(nil))[:16], version, nil
}

// images writes the cluster's images into the folder, and returns them. Those
// that are asked for come last, and may take the name of one of ours.
func images(ctx context.Context, root, module, programs string, r request, folder string) ([]string, error) {
	names, err := backendNames(ctx, module)
	if err != nil {
		return nil, err
	}
	pause := filepath.Join(folder, "pause")
	if _, err := goCommand(ctx, root, "build", "-ldflags", "-s -w", "-o", pause, "./test/cluster/pause"); err != nil {
		return nil, err
	}
	wanted := []image.Image{
		{Names: []string{pauseImage}, Program: "/pause", User: "65535:65535", Builds: []image.Build{{File: pause}}},
		{Names: names["echo-basic"], Program: "/echo-basic", User: "65532:65532", Builds: []image.Build{{File: programs + "/echo-basic"}}},
		{Names: names["coredns"], Program: "/coredns", Builds: []image.Build{{File: programs + "/coredns"}}},
	}
	if r.sluice {
		sluice := filepath.Join(folder, "sluice")
		if _, err := goCommand(ctx, root, "build", "-trimpath", "-ldflags", "-s -w", "-o", sluice, "./cmd/sluice"); err != nil {
			return nil, err
		}
		wanted = append(wanted, image.Image{Names: []string{"sluice:dev"}, Program: "/sluice", User: "65532:65532", LowPorts: true, Builds: []image.Build{{File: sluice}}})
	}
	var tars []string
	for _, each := range wanted {
		each.Builds[0].Architecture = runtime.GOARCH
		tar := filepath.Join(folder, filepath.Base(each.Program)+".tar")
		if err := writeImage(tar, each); err != nil {
			return nil, err
		}
		tars = append(tars, tar)
	}
	for _, tar := range r.images {
		path, err := filepath.Abs(tar)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
		tars = append(tars, path)
	}
	return tars, nil
}

func writeImage(path string, i image.Image) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(image.Write(file, i), file.Close())
}

var backendImage = regexp.MustCompile(`image:\s*(\S+/(echo-basic|coredns):\S+)`)

// backendNames reads from the conformance suite's manifests under which names they
// want its backends, by program.
func backendNames(ctx context.Context, module string) (map[string][]string, error) {
	suite, err := goCommand(ctx, module, "list", "-m", "-f", "{{.Dir}}", conformance)
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	err = filepath.WalkDir(suite, func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		content, err := os.ReadFile(path)
		for _, match := range backendImage.FindAllStringSubmatch(string(content), -1) {
			if name, program := match[1], match[2]; !slices.Contains(found[program], name) {
				found[program] = append(found[program], name)
			}
		}
		return err
	})
	return found, err
}

// definitions are the manifests of the Gateway API's experimental channel, with
// its policy against unsafe upgrades, and of Sluice's own kinds.
func definitions(ctx context.Context, root string) ([]string, error) {
	gateway, err := goCommand(ctx, root, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api")
	if err != nil {
		return nil, err
	}
	theirs, err := filepath.Glob(filepath.Join(gateway, "config/crd/experimental/*_*.yaml"))
	if err != nil {
		return nil, err
	}
	ours, err := filepath.Glob(filepath.Join(root, "deploy/crds/*.yaml"))
	if len(theirs) == 0 || len(ours) == 0 {
		return nil, fmt.Errorf("no CustomResourceDefinitions in %s or in deploy/crds", gateway)
	}
	return append(theirs, ours...), err
}
