//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"strconv"
)

// plan is what the program outside tells the one inside, and a node the next.
type plan struct {
	Name       string
	Nodes      int
	Node       int    // which node, from 1; the first carries the control plane
	Kubernetes string // the program that is all of Kubernetes
	CNI        string // the folder of the CNI plugins
	Images     []string
	Manifests  []string // applied once the API server answers
	Cgroup     string   // the cgroups' version: "1" or "2"
}

// The cluster's network. The namespace is sealed: nothing of it is routed to
// the machine or from it.
const (
	nodeNetwork    = "172.31.0."
	podNetwork     = "10.244.0.0/16"
	podBridge      = "cni0"
	serviceNetwork = "10.96.0.0/16"
	firstService   = "10.96.0.1"
	apiServer      = "https://" + nodeNetwork + "1:6443"
)

// work is the cluster's folder, in memory, the same on all of its nodes.
const work = "/run/cluster"

const kubeconfig = work + "/kubeconfig"

// usableAddress is one that the load balancer hands out to whoever asks for it;
// it comes last when nobody asks. unusableAddress is outside its range.
const (
	usableAddress   = nodeNetwork + "199"
	unusableAddress = nodeNetwork + "250"
)

// pauseImage has a host's name for its first part, so that no registry's is added.
const pauseImage = "localhost/pause:cluster"

func (p plan) nodeName() string     { return nodeName(p.Node) }
func (p plan) address() string      { return nodeAddress(p.Node) }
func nodeName(n int) string         { return "node-" + strconv.Itoa(n) }
func nodeAddress(n int) string      { return nodeNetwork + strconv.Itoa(n) }
func podsOf(n int) string           { return fmt.Sprintf("10.244.%d.0/24", n) }
func containerdSocket(n int) string { return filepath.Join(work, nodeName(n), "containerd.sock") }
func (p plan) path(s ...string) string {
	return filepath.Join(append([]string{work, p.nodeName()}, s...)...)
}
