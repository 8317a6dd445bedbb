//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// programs are those that the cluster needs of the machine, by the Debian
// package that has them.
var programs = []struct{ name, pkg string }{
	{"containerd", "containerd"}, {"ctr", "containerd"}, {"containerd-shim-runc-v2", "containerd"},
	{"runc", "runc"}, {"nft", "nftables"}, {"iptables", "iptables"}, {"ip", "iproute2"},
}

// pluginFolders are where distributions put the plugins of CNI.
var pluginFolders = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

// machine holds that this machine can carry a cluster, and installs the
// programs that it lacks where that is possible.
func machine() error {
	if os.Geteuid() != 0 {
		return errors.New("this needs root: namespaces, mounts, cgroups and network devices are made. Run it with sudo, or as root in a virtual machine")
	}
	if _, _, err := hierarchies(); err != nil {
		return err
	}
	if missing := missingPackages(); len(missing) > 0 {
		if err := install(missing); err != nil {
			return err
		}
	}
	return kernel()
}

func missingPackages() []string {
	var missing []string
	for _, program := range programs {
		if _, err := exec.LookPath(program.name); err != nil {
			missing = append(missing, program.pkg)
		}
	}
	if plugins() == "" {
		missing = append(missing, "containernetworking-plugins")
	}
	return missing
}

// plugins is the folder of the CNI plugins, or empty.
func plugins() string {
	for _, folder := range pluginFolders {
		if _, err := os.Stat(filepath.Join(folder, "bridge")); err == nil {
			return folder
		}
	}
	return ""
}

// install gets packages from Debian or Ubuntu. No service of theirs is needed.
func install(packages []string) error {
	wanted := strings.Join(packages, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("these packages (by their Debian names) are missing, install them: %s", wanted)
	}
	fmt.Fprintln(os.Stderr, "cluster: installing", wanted)
	command := exec.Command("sh", "-c", "apt-get update -qq && apt-get install -y -qq --no-install-recommends "+wanted)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get could not install %s: %w\n%s", wanted, err, output)
	}
	if missing := missingPackages(); len(missing) > 0 {
		return fmt.Errorf("installed, but their programs are not where they are looked for: %s", strings.Join(missing, " "))
	}
	return nil
}

// kernel looks for what a kernel may lack, and loads modules where they exist.
func kernel() error {
	var version unix.Utsname
	if err := unix.Uname(&version); err != nil {
		return err
	}
	release := unix.ByteSliceToString(version.Release[:])
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err == nil && (major < 5 || major == 5 && minor < 13) {
		return fmt.Errorf("the kernel is %s; kube-proxy with nftables needs 5.13 or later", release)
	}
	needs := []struct {
		module, why string
		there       func() bool
	}{
		{"overlay", "containers' files", func() bool {
			systems, _ := os.ReadFile("/proc/filesystems")
			return strings.Contains(string(systems), "\toverlay\n")
		}},
		{"br_netfilter", "Services between Pods of one node", func() bool {
			_, err := os.Stat("/proc/sys/net/bridge")
			return err == nil
		}},
		{"nf_tables", "Services", func() bool { return exec.Command("nft", "list", "tables").Run() == nil }},
	}
	for _, need := range needs {
		if need.there() {
			continue
		}
		output, _ := exec.Command("modprobe", need.module).CombinedOutput()
		if !need.there() {
			return fmt.Errorf("the kernel %s lacks %s, for %s; modprobe says: %s", release, need.module, need.why, strings.TrimSpace(string(output)))
		}
	}
	return nil
}
