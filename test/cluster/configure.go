//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// object is a document of JSON, which is YAML too.
type object map[string]any

func writeJSON(path string, v any) error {
	content, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(content, '\n'), 0o600)
}

// containerdSettings wants: the state and root folder, the socket, the pause
// image, and the folders of CNI's plugins and settings. A container's
// oom_score_adj cannot be lowered where root lacks CAP_SYS_RESOURCE.
const containerdSettings = `version = 2
state = %[1]q
root = %[2]q
[grpc]
  address = %[3]q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[4]q
  disable_apparmor = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[5]q
    conf_dir = %[6]q
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`

// configure writes the settings of the programs that every node runs.
func (s *supervisor) configure() error {
	p := s.plan
	for _, folder := range []string{"cni", "manifests", "pod-logs"} {
		if err := os.MkdirAll(p.path(folder), 0o755); err != nil {
			return err
		}
	}
	containerd := fmt.Sprintf(containerdSettings, p.path("containerd-state"), p.path("containerd"),
		containerdSocket(p.Node), pauseImage, p.CNI, p.path("cni"))
	if err := os.WriteFile(p.path("containerd.toml"), []byte(containerd), 0o600); err != nil {
		return err
	}
	if err := writeJSON(p.path("cni", "cluster.conflist"), s.podNetwork()); err != nil {
		return err
	}
	a, err := readAuthority(pki + "/ca")
	if err != nil {
		return err
	}
	serving := identity{name: p.nodeName(), addresses: []string{p.address(), p.nodeName(), "127.0.0.1"}}
	if err := a.issue(p.path("kubelet-serving"), serving); err != nil {
		return err
	}
	kubelet := identity{name: "system:node:" + p.nodeName(), group: "system:nodes"}
	if err := a.kubeconfig(p.path("kubelet.kubeconfig"), kubelet); err != nil {
		return err
	}
	if err := a.kubeconfig(p.path("kube-proxy.kubeconfig"), identity{name: "system:kube-proxy"}); err != nil {
		return err
	}
	if err := writeJSON(p.path("kubelet.yaml"), s.kubelet()); err != nil {
		return err
	}
	return writeJSON(p.path("kube-proxy.yaml"), object{
		"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
		"clientConnection": object{"kubeconfig": p.path("kube-proxy.kubeconfig")},
		"hostnameOverride": p.nodeName(), "mode": "nftables",
		// What comes from this node's Pods; a Pod of another node is a client like any.
		"detectLocalMode": "BridgeInterface", "detectLocal": object{"bridgeInterface": podBridge},
		// The default of a second has connections to a fresh Service refused.
		"nftables":  object{"minSyncPeriod": "50ms"},
		"conntrack": object{"maxPerCore": 0, "min": 0},
	})
}

// podNetwork is a bridge for the node's Pods.
func (s *supervisor) podNetwork() object {
	return object{"cniVersion": "1.0.0", "name": "cluster", "plugins": []object{
		{
			"type": "bridge", "bridge": podBridge, "isGateway": true, "hairpinMode": true, "ipMasq": false,
			"ipam": object{
				"type": "host-local", "dataDir": s.plan.path("addresses"),
				"ranges": [][]object{{{"subnet": podsOf(s.plan.Node)}}}, "routes": []object{{"dst": "0.0.0.0/0"}},
			},
		},
		{"type": "portmap", "capabilities": object{"portMappings": true}},
	}}
}

// kubelet is the kubelet's settings: what a test machine has little of is not
// guarded, and nothing is written outside the cluster's folder.
func (s *supervisor) kubelet() object {
	p := s.plan
	return object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"authentication": object{
			"anonymous": object{"enabled": false}, "webhook": object{"enabled": true},
			"x509": object{"clientCAFile": pki + "/ca.crt"},
		},
		"authorization": object{"mode": "Webhook"},
		"tlsCertFile":   p.path("kubelet-serving.crt"), "tlsPrivateKeyFile": p.path("kubelet-serving.key"),
		"containerRuntimeEndpoint": "unix://" + containerdSocket(p.Node),
		"cgroupDriver":             "cgroupfs", "failCgroupV1": false, "failSwapOn": false,
		"evictionHard":                object{"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
		"imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
		"kubeAPIQPS": 500, "kubeAPIBurst": 1000, "maxPods": 250,
		"makeIPTablesUtilChains": false,
		"podLogsDir":             p.path("pod-logs"), "staticPodPath": p.path("manifests"), "volumePluginDir": p.path("volume-plugins"),
	}
}
