//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// built builds the program, or skips where no cluster can run.
func built(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("brings clusters up, which takes minutes the first time")
	}
	if os.Geteuid() != 0 {
		t.Skip("a cluster needs root")
	}
	program := filepath.Join(t.TempDir(), "cluster")
	if _, err := goCommand(t.Context(), ".", "build", "-o", program, "."); err != nil {
		t.Fatal(err)
	}
	return program
}

// manifest is testdata/echo.yaml with the name of an image that the cluster has.
func manifest(t *testing.T) string {
	t.Helper()
	names, err := backendNames(t.Context(), "kubernetes")
	if err != nil || len(names["echo-basic"]) == 0 {
		t.Fatalf("names of the echo image: %q, %v", names, err)
	}
	content, err := os.ReadFile("testdata/echo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "echo.yaml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(content), "ECHO", names["echo-basic"][0])), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// traces are what a cluster could leave on the machine: processes, cgroups,
// files, and anything in the machine's mounts, links and kernel settings.
func traces(t *testing.T, name string) string {
	t.Helper()
	var all strings.Builder
	processes, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, process := range processes {
		if content, _ := os.ReadFile(process); strings.Contains(string(content), tempPrefix+name) {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(process), "cmdline"))
			fmt.Fprintf(&all, "process %s %q\n", process, command)
		}
	}
	groups, err := newCgroups(tempPrefix + name)
	if err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), tempPrefix+name+"-*"))
	for _, path := range append(append(groups.Folders, left...), stateFile(name)) {
		if _, err := os.Stat(path); err == nil {
			fmt.Fprintln(&all, "file", path)
		}
	}
	links, _ := filepath.Glob("/sys/class/net/*")
	fmt.Fprintln(&all, "links", links)
	for _, file := range []string{"/proc/self/mounts", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/panic", "/etc/resolv.conf"} {
		content, _ := os.ReadFile(file)
		fmt.Fprintf(&all, "%s\n%s", file, content)
	}
	return all.String()
}

// untilTraces waits until the machine is as it was before.
func untilTraces(t *testing.T, name, before string) {
	t.Helper()
	var after string
	for range 100 {
		if after = traces(t, name); after == before {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("the cluster left something; before:\n%s\nafter:\n%s", before, after)
}

func TestClusterDoesWhatTestsNeed(t *testing.T) {
	for _, nodes := range []string{"1", "2"} {
		t.Run(nodes+" nodes", func(t *testing.T) {
			program, name := built(t), "smoke-"+nodes
			before := traces(t, name)
			command := exec.Command(program, "run", "--name", name, "--nodes", nodes, "--sluice=false", "--",
				"sh", "testdata/smoke.sh", manifest(t), nodes)
			if output, err := command.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
			untilTraces(t, name, before)
		})
	}
}

func TestRunEndsWithTheCommandsCode(t *testing.T) {
	program, name := built(t), "smoke-code"
	before := traces(t, name)
	output, err := exec.Command(program, "run", "--name", name, "--sluice=false", "--crds=false", "--", "sh", "-c", "exit 7").CombinedOutput()
	if exited, ok := err.(*exec.ExitError); !ok || exited.ExitCode() != 7 {
		t.Errorf("run ended with %v, want code 7\n%s", err, output)
	}
	untilTraces(t, name, before)
}

// TestNothingIsLeftHoweverItEnds kills a part of a running cluster with SIGKILL.
// What the kernel does not end, the next start removes.
func TestNothingIsLeftHoweverItEnds(t *testing.T) {
	const name = "smoke-kill"
	for _, victim := range []string{"the program", "the first process", "the node"} {
		t.Run(victim, func(t *testing.T) {
			program := built(t)
			before := traces(t, name)
			up, ended := started(t, program, name)
			s, err := running(name)
			if err != nil {
				t.Fatal(err)
			}
			pid := map[string]int{"the program": up.Process.Pid, "the first process": s.Init, "the node": childOf(t, s.Init)}[victim]
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended:
			case <-time.After(30 * time.Second):
				t.Fatal("the program goes on without", victim)
			}
			if victim == "the program" {
				file, err := claim(name) // as the next start does
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				if err := os.Remove(file.Name()); err != nil {
					t.Fatal(err)
				}
			}
			untilTraces(t, name, before)
		})
	}
}

// started brings a cluster up. The channel closes when up has ended.
func started(t *testing.T, program, name string) (*exec.Cmd, <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	up := exec.CommandContext(ctx, program, "up", "--name", name, "--sluice=false", "--crds=false")
	var output strings.Builder
	up.Stderr = &output
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = up.Wait() }()
	for {
		if _, err := running(name); err == nil {
			return up, ended
		}
		select {
		case <-ended:
			t.Fatalf("up has ended: %s", &output)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// childOf is a child of the process.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Sscan(string(content), &child); err != nil {
		t.Fatalf("children of %d: %q", pid, content)
	}
	return child
}
