//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long the cluster may take to come up.
const patience = 3 * time.Minute

// node runs a node for as long as it lives; the first one runs the control plane
// and the other nodes too.
func node() error {
	var p plan
	if err := json.NewDecoder(os.Stdin).Decode(&p); err != nil {
		return err
	}
	told := report()
	unix.CloseOnExec(int(told.Fd()))
	s := &supervisor{plan: p, failed: make(chan error, 16)}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() {
		if err := s.start(ctx); err != nil {
			s.failed <- err
			return
		}
		s.up.Store(true)
		fmt.Fprintln(told, ready)
	}()
	err := <-s.failed
	fmt.Fprintln(told, strings.ReplaceAll(fmt.Sprintf("%s: %v", p.nodeName(), err), "\n", reportNewline))
	return errReported
}

// start brings the node up and returns when it, and on the first node the whole
// cluster, can be used.
func (s *supervisor) start(ctx context.Context) error {
	if err := s.network(ctx); err != nil {
		return err
	}
	if s.plan.Node > 1 {
		return s.worker(ctx)
	}
	if err := s.control(); err != nil {
		return err
	}
	working := make(chan error, 1)
	go func() { working <- s.worker(ctx) }()
	client, err := newClient()
	if err != nil {
		return err
	}
	if err := client.until(ctx, "the API server is ready", client.healthy); err != nil {
		return err
	}
	if err := s.controllers(); err != nil {
		return err
	}
	go balance(client)
	for n := 2; n <= s.plan.Nodes; n++ {
		if err := s.extend(n); err != nil {
			return err
		}
	}
	if err := s.define(ctx); err != nil {
		return err
	}
	if err := <-working; err != nil {
		return err
	}
	if err := client.until(ctx, "all nodes are ready", func(ctx context.Context) error { return client.nodesReady(ctx, s.plan.Nodes) }); err != nil {
		return err
	}
	return client.until(ctx, "the default ServiceAccount exists", func(ctx context.Context) error {
		return client.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil)
	})
}

// network gives the node its address, and routes to the Pods of the others.
func (s *supervisor) network(ctx context.Context) error {
	p := s.plan
	device := "node0"
	if err := ip(ctx, "link set lo up"); err != nil {
		return err
	}
	if p.Node == 1 {
		if err := ip(ctx, "link add node0 type bridge"); err != nil {
			return err
		}
	} else {
		device = "eth0"
	}
	if err := ip(ctx, "addr add "+p.address()+"/24 dev "+device, "link set "+device+" up"); err != nil {
		return err
	}
	// Without a default route, a Service's address is unreachable before it is
	// translated. Nothing answers behind the first node's.
	route := "route add default dev node0"
	if p.Node > 1 {
		route = "route add default via " + nodeAddress(1)
	}
	if err := ip(ctx, route); err != nil {
		return err
	}
	for n := 1; n <= p.Nodes; n++ {
		if n == p.Node {
			continue
		}
		if err := ip(ctx, "route add "+podsOf(n)+" via "+nodeAddress(n)); err != nil {
			return err
		}
	}
	return nil
}

// ip runs commands of ip(8).
func ip(ctx context.Context, commands ...string) error {
	for _, each := range commands {
		if output, err := exec.CommandContext(ctx, "ip", strings.Fields(each)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", each, err, output)
		}
	}
	return nil
}

// extend starts another node, with a cable to the first one's bridge.
func (s *supervisor) extend(n int) error {
	groups, err := newCgroups(nodeName(n))
	if err != nil {
		return err
	}
	if err := groups.create(); err != nil {
		return err
	}
	p := s.plan
	p.Node, p.Manifests = n, nil
	_, lines, err := begin(groups, p, func(pid int) error {
		port := fmt.Sprintf("port%d", n)
		return ip(context.Background(), fmt.Sprintf("link add %s type veth peer name eth0 netns %d", port, pid),
			"link set "+port+" master node0", "link set "+port+" up")
	})
	if err != nil {
		return err
	}
	go func() {
		for line := range lines {
			if line != ready {
				s.failed <- errors.New(line)
			}
		}
	}()
	return nil
}

// worker starts what every node runs, and loads its images.
func (s *supervisor) worker(ctx context.Context) error {
	p := s.plan
	if err := s.configure(); err != nil {
		return err
	}
	if err := s.keep("containerd", "containerd", "--config", p.path("containerd.toml")); err != nil {
		return err
	}
	if err := importImages(ctx, p.Kubernetes, containerdSocket(p.Node), p.Images); err != nil {
		return err
	}
	if err := s.keep("kubelet", p.Kubernetes, "kubelet", "--config="+p.path("kubelet.yaml"),
		"--kubeconfig="+p.path("kubelet.kubeconfig"), "--hostname-override="+p.nodeName(), "--node-ip="+p.address(),
		"--root-dir="+p.path("kubelet"), "--cert-dir="+p.path("kubelet", "pki")); err != nil {
		return err
	}
	return s.keep("kube-proxy", p.Kubernetes, "kube-proxy", "--config="+p.path("kube-proxy.yaml"))
}

// importImages loads images into a containerd, which may still be starting, under
// the names that Pods call them by.
func importImages(ctx context.Context, kubernetes, socket string, tars []string) error {
	ctr := func(args ...string) (string, error) {
		output, err := exec.CommandContext(ctx, "ctr", append([]string{"--address", socket, "--namespace", "k8s.io"}, args...)...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, output)
		}
		return string(output), err
	}
	for {
		_, err := ctr("version")
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
	for _, tar := range tars {
		if _, err := ctr("images", "import", tar); err != nil {
			return err
		}
	}
	output, err := ctr("images", "list", "--quiet")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(output) {
		if strings.HasPrefix(name, "sha256:") {
			continue
		}
		called, err := exec.CommandContext(ctx, kubernetes, "image-name", name).Output()
		if err != nil {
			return fmt.Errorf("the name of image %s: %w", name, err)
		}
		if full := strings.TrimSpace(string(called)); full != name {
			if _, err := ctr("images", "tag", "--force", name, full); err != nil {
				return err
			}
		}
	}
	return nil
}

// importEverywhere loads images into the containerd of each node: args are the
// number of nodes and the tars.
func importEverywhere(args []string) error {
	var nodes int
	if _, err := fmt.Sscan(args[0], &nodes); err != nil {
		return err
	}
	for n := 1; n <= nodes; n++ {
		if err := importImages(context.Background(), filepath.Join(work, "bin", "kubernetes"), containerdSocket(n), args[1:]); err != nil {
			return err
		}
	}
	return nil
}

// define applies the plan's manifests.
func (s *supervisor) define(ctx context.Context) error {
	if len(s.plan.Manifests) == 0 {
		return nil
	}
	args := []string{"kubectl", "--kubeconfig", kubeconfig, "apply", "--server-side", "--filename", strings.Join(s.plan.Manifests, ",")}
	if output, err := exec.CommandContext(ctx, s.plan.Kubernetes, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("applying CustomResourceDefinitions: %w: %s", err, output)
	}
	return nil
}
