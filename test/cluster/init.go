//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// reportNewline stands for the end of a line within a report, which is one line.
const reportNewline = "\v"

// report is the file on which a node's processes tell how it goes.
func report() *os.File { return os.NewFile(3, "report") }

// initialize is the first process of a node's namespaces: it makes them the
// node's own, starts the node, and buries those whose parents have died.
func initialize() error {
	var p plan
	if err := json.NewDecoder(os.Stdin).Decode(&p); err != nil {
		return nil // who started this has ended
	}
	if err := isolate(p); err != nil {
		fmt.Fprintf(report(), "preparing %s: %v\n", p.nodeName(), err)
		return err
	}
	content, err := json.Marshal(p)
	if err != nil {
		return err
	}
	command := exec.Command("/proc/self/exe", "inside-node")
	told := report()
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(content), os.Stderr, os.Stderr
	command.ExtraFiles = []*os.File{told}
	if err := command.Start(); err != nil {
		return err
	}
	told.Close()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid == command.Process.Pid {
			return fmt.Errorf("%s has ended", p.nodeName())
		}
	}
}

// isolate gives the node files, mounts and kernel settings that nobody else sees.
func isolate(p plan) error {
	_, found, err := hierarchies()
	if err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	steps := []func() error{
		func() error { return mountRun(p) },
		func() error {
			return unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		},
		func() error { return unix.Unmount("/sys", unix.MNT_DETACH) },
		func() error {
			return unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		},
		func() error { return mountCgroups(p.Cgroup, found) },
		func() error { return overlay(p, "/var") },
		func() error { return overlay(p, "/etc") },
		func() error { return settings(p) },
		func() error { return unix.Sethostname([]byte(p.nodeName())) },
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "") },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

// mountRun gives the node an empty /run in memory. The cluster's folder in it is
// that of the first node.
func mountRun(p plan) error {
	shared, err := os.Open(work)
	if p.Node > 1 && err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=75%"); err != nil {
		return fmt.Errorf("mounting a tmpfs on /run: %w", err)
	}
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	if p.Node > 1 {
		defer shared.Close()
		from := fmt.Sprintf("/proc/self/fd/%d", shared.Fd())
		if err := unix.Mount(from, work, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("mounting the first node's %s: %w", work, err)
		}
	}
	return os.MkdirAll(p.path(), 0o755)
}

// overlay lets the node write to a folder of the machine without changing it.
func overlay(p plan, folder string) error {
	upper, scratch := p.path("files", folder, "upper"), p.path("files", folder, "work")
	if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(scratch, 0o755)); err != nil {
		return err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", folder, upper, scratch)
	if err := unix.Mount("overlay", folder, "overlay", 0, options); err != nil {
		return fmt.Errorf("mounting an overlay on %s: %w", folder, err)
	}
	return nil
}

// settings are the node's names, and the kernel's settings that the kubelet
// insists on: it sees them, and the machine's stay as they are.
func settings(p plan) error {
	hosts := "127.0.0.1 localhost\n"
	for n := range p.Nodes {
		hosts += nodeAddress(n+1) + " " + nodeName(n+1) + "\n"
	}
	for file, content := range map[string]string{
		"/etc/hosts": hosts, "/etc/hostname": p.nodeName() + "\n",
		"/etc/resolv.conf": "# no name server: this network is sealed\n",
	} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
	}
	for key, value := range map[string]string{"vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1"} {
		file := p.path("sysctl", strings.ReplaceAll(key, "/", "."))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(file, "/proc/sys/"+key, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting over /proc/sys/%s: %w", key, err)
		}
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
}
